import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { must } from "../helpers/pack.ts";
import { CannotRun } from "./system.ts";

/** Everything is several times slower than in a container: no instruction runs on the processor itself. */
const TIME_LIMIT_MS = 7_200_000;
const DISK = "2G";

/** The file that the root folder has exactly one of, by the beginning of its name. */
function bootFile(root: string, begin: string): string {
  const name = readdirSync(join(root, "boot")).find((file) => file.startsWith(begin));
  if (name === undefined) throw new CannotRun(`the system has no /boot/${begin}*`);
  return join(root, "boot", name);
}

/**
 * Boots the system on a processor made of software, which works inside of any machine, and shows its
 * console; ends once it has powered off, with the tests' exit code.
 */
export function bootMachine(folder: string, root: string): number {
  const disk = join(folder, "disk.img");
  must("mkfs.ext4", ["-q", "-F", "-d", root, disk, DISK]);
  spawnSync(
    "qemu-system-x86_64",
    [
      ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-machine", "q35"],
      ["-m", "2048", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none"],
      ["-kernel", bootFile(root, "vmlinuz-"), "-initrd", bootFile(root, "initrd.img-")],
      ["-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off"],
      ["-drive", `file=${disk},format=raw,if=virtio,cache=unsafe`, "-device", "virtio-rng-pci"],
    ].flat(),
    // What it shows meanwhile is its progress: it takes long.
    { stdio: ["ignore", "inherit", "inherit"], timeout: TIME_LIMIT_MS },
  );
  const [log, code] = ["test.log", "test.code"].map((name) => {
    const file = join(folder, name);
    // It says so on stderr where there is no such file, and exits 0.
    spawnSync("debugfs", ["-R", `dump /${name} ${file}`, disk]);
    return readOrNothing(file);
  });
  if (log === undefined || log === "")
    throw new CannotRun("the machine did not boot: its console tells why");
  return code === undefined || code === "" ? 1 : Number(code);
}

function readOrNothing(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
