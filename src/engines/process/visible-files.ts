import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  readlinkSync,
  realpathSync,
} from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { SupervisorError } from "../../errors.ts";
import { findProgram } from "./programs.ts";

/** A folder or file of this machine that the child sees in the same place. */
export interface Mount {
  path: string;
  isWritable: boolean;
}

export interface Wanted {
  /** Absolute, as found in PATH. */
  program: string;
  cwd: string;
  searchPath: string | undefined;
  paths: { read: readonly string[]; write: readonly string[] };
  hidden: readonly string[];
}

/** Always there, read-only. */
export const SYSTEM_FOLDERS = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"];

/** Too much to show for the sake of one program in it, or of a server that was put there. */
const BROAD =
  /^\/(home|root|opt|srv|var|mnt|media|tmp|etc|run|proc|sys|dev|usr|boot|snap|nix)?$|^\/var\/(lib|log|cache|spool|mail|opt|backups|www)$|^\/nix\/store$/;
const HOME = /^\/(root|home\/[^/]+)$/;
const BROAD_IN_HOME = ["", "/.local", "/.local/share", "/.config", "/.cache"];
/** Never shown whole: the sandbox has its own. */
const OWN_INSIDE = /^\/(etc|tmp|run|proc|sys|dev)?$/;

export const isWithin = (inner: string, outer: string): boolean =>
  inner === outer || inner.startsWith(outer === "/" ? "/" : `${outer}/`);

const isOfTheSystem = (file: string): boolean =>
  SYSTEM_FOLDERS.some((folder) => isWithin(file, folder));

function isBroad(folder: string): boolean {
  if (BROAD.test(folder)) return true;
  return BROAD_IN_HOME.some((end) => {
    if (!folder.endsWith(end)) return false;
    const home = folder.slice(0, folder.length - end.length);
    return HOME.test(home) || home === homedir();
  });
}

export const isLink = (file: string): boolean =>
  lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true;

/** Every name on the way from a link to what it leads to, the first and the last included. */
export function chainOf(file: string): string[] {
  const chain = [file];
  for (let at = file; chain.length < 40;) {
    if (!isLink(at)) break;
    at = path.resolve(path.dirname(at), readlinkSync(at));
    chain.push(at);
  }
  try {
    // A folder on the way may be a link too.
    chain.push(realpathSync(file));
  } catch {
    // It leads nowhere; the program will say so.
  }
  return [...new Set(chain)];
}

/** What has to be seen for a program to run: the installation it belongs to, or the file alone where that would show too much. */
function installationOf(file: string): string {
  const folder = path.dirname(file);
  const isInBin = /^(s?bin|\.bin|shims|Scripts)$/.test(path.basename(folder));
  const whole = isInBin ? path.dirname(folder) : folder;
  if (!isBroad(whole)) return whole;
  return isInBin && !isBroad(folder) ? folder : file;
}

/** The programs that this one is run by: of a script the one in its first line, of a venv the base interpreter. */
function runBy(file: string, cwd: string, searchPath: string | undefined): string[] {
  const found: string[] = [];
  const venv = path.join(path.dirname(path.dirname(file)), "pyvenv.cfg");
  if (existsSync(venv)) {
    const [, home] = /^home\s*=\s*(.+?)\s*$/m.exec(readFileSync(venv, "utf8")) ?? [];
    if (home !== undefined) found.push(path.join(home, path.basename(file)));
  }
  const line = firstLine(file);
  const [, interpreter, argument] = /^#!\s*(\S+)(?:\s+(\S+))?/.exec(line) ?? [];
  if (interpreter === undefined) return found;
  found.push(interpreter);
  if (path.basename(interpreter) === "env" && argument !== undefined) {
    const program = findProgram(argument, cwd, searchPath).file;
    if (program !== undefined) found.push(program);
  }
  return found;
}

/** As much of it as the kernel looks at; the program itself may be a hundred megabytes. */
function firstLine(file: string): string {
  const start = Buffer.alloc(256);
  try {
    const fd = openSync(file, "r");
    try {
      return start.toString("latin1", 0, readSync(fd, start)).split("\n")[0]!;
    } finally {
      closeSync(fd);
    }
  } catch {
    // Not ours to read, or a folder; the system will say so.
    return "";
  }
}

function installationsFor({ program, cwd, searchPath }: Wanted): string[] {
  const folders = new Set<string>();
  const seen = new Set<string>();
  const queue = [program];
  for (let file = queue.shift(); file !== undefined && seen.size < 32; file = queue.shift()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const name of chainOf(file)) {
      if (!isOfTheSystem(name)) folders.add(installationOf(name));
      queue.push(...runBy(name, cwd, searchPath));
    }
  }
  return [...folders].filter((folder) => existsSync(folder));
}

export function refuse(what: string): SupervisorError {
  return new SupervisorError(
    "INSTANCE_SPAWN_FAILED",
    "could not be started: its sandbox is refused",
    {
      details: [what],
    },
  );
}

/** A path of the config's must be what it says: one that leads elsewhere could be turned by whoever owns the link. */
function checkPath(key: string, file: string, hidden: readonly string[]): void {
  let real: string;
  try {
    real = realpathSync(file);
  } catch {
    throw refuse(`${key}: ${file} does not exist`);
  }
  if (real !== file) throw refuse(`${key}: ${file} leads to ${real}; write that one`);
  const secret = hidden.find((other) => isWithin(file, other));
  if (secret !== undefined) throw refuse(`${key}: ${file} belongs to the daemon (${secret})`);
  if (OWN_INSIDE.test(file)) throw refuse(`${key}: a sandbox has a ${file} of its own`);
}

/** It is the config's folder where nobody named one: a config in a home must not show keys and mail to every child. */
function checkCwd(cwd: string, { paths, hidden }: Wanted): void {
  const secret = hidden.find((other) => isWithin(cwd, other));
  if (secret !== undefined) throw refuse(`cwd: ${cwd} belongs to the daemon (${secret})`);
  const isShown = !OWN_INSIDE.test(cwd) && !isOfTheSystem(cwd);
  if (!isShown || !isBroad(cwd) || paths.read.includes(cwd)) return;
  throw refuse(
    `cwd: all of ${cwd} would be shown to the child; put the config into a folder of its own or name another "cwd" (to show it all the same, write it into "paths.read")`,
  );
}

/**
 * What of this machine's files a child is to see beside the system's own folders: the server's
 * folder, the installation of its program, and what the config names. Parents come before what lies
 * in them. Throws INSTANCE_SPAWN_FAILED for a path that must not be shown.
 */
export function visibleFiles(wanted: Wanted): Mount[] {
  const { cwd, paths, hidden } = wanted;
  for (const file of paths.read) checkPath("paths.read", file, hidden);
  for (const file of paths.write) {
    checkPath("paths.write", file, hidden);
    // Hidden or not, a folder above it that may be renamed takes the daemon's files away from it.
    const secret = hidden.find((other) => isWithin(other, file));
    if (secret !== undefined) throw refuse(`paths.write: ${file} holds the daemon's own ${secret}`);
  }
  const realCwd = realpathSync(cwd);
  for (const folder of [cwd, realCwd]) checkCwd(folder, wanted);
  const folders = [cwd, realCwd, ...installationsFor(wanted), ...paths.read];
  const mounts = new Map<string, boolean>();
  for (const folder of folders) if (!OWN_INSIDE.test(folder)) mounts.set(folder, false);
  for (const folder of paths.write) mounts.set(folder, true);
  return [...mounts]
    .filter(([folder, isWritable]) => isWritable || !isOfTheSystem(folder))
    .filter(([folder]) => {
      const names = [folder, realpathSync(folder)];
      return !hidden.some((other) => names.some((name) => isWithin(name, other)));
    })
    .map(([folder, isWritable]) => ({ path: folder, isWritable }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
