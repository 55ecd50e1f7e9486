import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { PROGRAM } from "./program.ts";

export interface SmallDisk {
  /** The folder that is a file system of its own. */
  place: string;
  /** As tmpfs takes it. */
  size: string;
  /** A folder that is copied into it first. */
  content?: string;
  /** As truncate takes it: what is left free beside the content. */
  room?: string;
}

const ON_IT = `
mount -t tmpfs -o mode=700,size="$SIZE" tmpfs "$PLACE"
if [ "$CONTENT" ]; then
  cp -a "$CONTENT/." "$PLACE"
  dd if=/dev/zero of="$PLACE/rest" bs=4k 2> /dev/null
  truncate --size="-$ROOM" "$PLACE/rest"
fi
"$@"
echo "exit $?"
rm -f "$PLACE/rest"
cd "$PLACE"
echo *
`;

/** Runs a command line as root with such a disk; what it says, its exit code, and what is on the disk then. */
export function onSmallDisk(
  { place, size, content = "", room = "0" }: SmallDisk,
  configPath: string,
  ...command: string[]
): { said: string; code: number; files: string[] } {
  mkdirSync(place, { recursive: true });
  const argv = [process.execPath, "--no-warnings", PROGRAM, "--config", configPath, "--json"];
  const env = { ...process.env, PLACE: place, SIZE: size, CONTENT: content, ROOM: room };
  const { stdout, stderr } = spawnSync(
    "unshare",
    ["--mount", "--", "sh", "-c", ON_IT, "sh", ...argv, ...command],
    { encoding: "utf8", env },
  );
  const [, code, files = ""] = /^exit (\d+)\n(.*)\n$/m.exec(stdout) ?? [];
  return {
    said: stderr,
    code: Number(code),
    files: files.split(" ").filter((name) => name !== "*"),
  };
}
