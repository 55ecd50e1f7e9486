import { spawnSync } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import path from "node:path";

/** Where execvp looks when there is no PATH. */
const USUAL_PATH = "/usr/local/bin:/usr/bin:/bin";
/** Administrators' programs are often not in the PATH of an account. */
const SYSTEM_PATH = "/usr/sbin:/sbin";

export type Found = { file: string } | { file?: undefined; refusal: "ENOENT" | "EACCES" };

function tryFile(file: string): "ok" | "ENOENT" | "EACCES" {
  try {
    accessSync(file, constants.X_OK);
    // A folder passes for executable.
    return statSync(file).isFile() ? "ok" : "EACCES";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? "EACCES" : "ENOENT";
  }
}

/**
 * The program that the system would run for this command, absolute and with its links kept: what a
 * link is called can matter to the program. Looked for here, because a child is started through
 * others, and only its own words would say that there is no such program.
 */
export function findProgram(command: string, cwd: string, searchPath: string | undefined): Found {
  // With a slash it is a path, and the folder it is relative to is the child's, not the daemon's.
  const candidates = command.includes("/")
    ? [path.resolve(cwd, command)]
    : (searchPath ?? USUAL_PATH).split(":").map((folder) => path.resolve(cwd, folder, command));
  let refusal: "ENOENT" | "EACCES" = "ENOENT";
  for (const file of candidates) {
    const outcome = tryFile(file);
    if (outcome === "ok") return { file };
    if (outcome === "EACCES") refusal = "EACCES";
  }
  return { refusal };
}

/** BusyBox has programs of these names that do less than is needed here: what it does not know tells. */
const TELLING: Readonly<Record<string, string>> = {
  setpriv: "--pdeathsig",
  unshare: "--map-current-user",
};

const tools = new Map<string, string | undefined>();

/** A program of the system that the daemon itself makes use of; looked for once. One that is BusyBox's, and does too little, counts as missing. */
export function findTool(name: string): string | undefined {
  if (!tools.has(name)) {
    const searchPath = `${process.env["PATH"] ?? USUAL_PATH}:${SYSTEM_PATH}`;
    const { file } = findProgram(name, "/", searchPath);
    const telling = TELLING[name];
    const isWhole = file !== undefined && (telling === undefined || helpOf(file).includes(telling));
    tools.set(name, isWhole ? file : undefined);
  }
  return tools.get(name);
}

/** The shell that the daemon's own scripts are for. */
export const shell = (): string => findTool("sh") ?? "/bin/sh";

/** What the program says of its options. */
export function helpOf(file: string): string {
  const { stdout, stderr } = spawnSync(file, ["--help"], { encoding: "utf8", timeout: 10_000 });
  return `${stdout}${stderr}`;
}
