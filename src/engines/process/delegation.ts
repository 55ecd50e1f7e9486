import { execFile } from "node:child_process";
import { constants, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { mayAccess } from "../../platform/may-access.ts";
import { promisify } from "node:util";
import { CONTROLLERS, CgroupRoot } from "./cgroup.ts";
import type { Controller } from "./cgroup.ts";

/** The daemon's own place below the delegated group: a group with controllers for those below it holds no process itself. */
const LEAF = "supervisor";
const ASK_TIMEOUT_MS = 2000;
/** Ten times a child's: every call of every user goes through the daemon, whatever one child is busy with. */
const CPU_WEIGHT = "1000";

const run = promisify(execFile);

/**
 * The cgroup (version 2) that the service manager delegated to this process, divided and ready for
 * children; undefined where none was. The daemon and what else is in it moves to a leaf of its own.
 *
 * A group is only taken for delegated when that is certain: one that is the daemon's own because it
 * may write there as an ordinary account, or one of which systemd says so. Elsewhere nothing is
 * touched, though root could: a cgroup has one writer, and here that is somebody else.
 */
export async function takeDelegation(): Promise<CgroupRoot | undefined> {
  const dir = ownGroup();
  if (dir === undefined || !(await isDelegated(dir))) return undefined;
  const leaf = path.join(dir, LEAF);
  mkdirSync(leaf, { recursive: true });
  for (const pid of lines(path.join(dir, "cgroup.procs"))) move(pid, leaf);
  const offered = words(path.join(dir, "cgroup.controllers"));
  for (const name of offered) set(dir, "cgroup.subtree_control", `+${name}`);
  set(leaf, "cpu.weight", CPU_WEIGHT);
  return new CgroupRoot(dir, new Set(words(path.join(dir, "cgroup.subtree_control"))));
}

/** The folder of the group this process is in, undefined where there is no version 2 or it is the root of all. */
function ownGroup(): string | undefined {
  const line = lines("/proc/self/cgroup").find((text) => text.startsWith("0::/"));
  const mount = lines("/proc/self/mountinfo")
    .map((text) => text.split(" "))
    .find((fields) => fields[fields.indexOf("-") + 1] === "cgroup2");
  if (line === undefined || mount === undefined) return undefined;
  const [root, place] = [mount[3]!, mount[4]!];
  const group = line.slice("0::".length);
  const inMount = path.relative(root, group);
  // "/.." is outside of the cgroup namespace; the root is nobody's to give.
  if (inMount === "" || inMount.startsWith("..") || group.startsWith("/..")) return undefined;
  const dir = path.join(place, inMount);
  // A daemon that was started by one that had moved is still in that leaf.
  return path.basename(dir) === LEAF ? path.dirname(dir) : dir;
}

async function isDelegated(dir: string): Promise<boolean> {
  const files = [dir, ...FILES.map((file) => path.join(dir, file))];
  if (!files.every((file) => mayAccess(file, constants.W_OK))) return false;
  // All of a user's session is writable to that user, and root may write everywhere: there the
  // manager is asked. Elsewhere somebody gave the folder to this account on purpose.
  const isSession = /\/user@\d+\.service\//.test(dir);
  if (process.geteuid?.() !== 0 && !isSession) return true;
  const unit = path.basename(dir);
  if (!/\.(service|scope)$/.test(unit)) return false;
  try {
    const scope = isSession ? ["--user"] : [];
    const ask = ["show", "--property=Delegate", "--value", unit];
    const { stdout } = await run("systemctl", [...scope, ...ask], { timeout: ASK_TIMEOUT_MS });
    return stdout.trim() === "yes";
  } catch {
    return false;
  }
}

const FILES = ["cgroup.procs", "cgroup.subtree_control"];

function lines(file: string): string[] {
  try {
    return readFileSync(file, "latin1").split("\n").filter(Boolean);
  } catch {
    return [];
  }
}

/** The controllers named in the file that a child is limited by. */
function words(file: string): Controller[] {
  const named = lines(file).flatMap((line) => line.split(" "));
  return CONTROLLERS.filter((name) => named.includes(name));
}

function move(pid: string, leaf: string): void {
  try {
    writeFileSync(path.join(leaf, "cgroup.procs"), pid);
  } catch (error) {
    // It ended meanwhile.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function set(dir: string, file: string, value: string): void {
  try {
    writeFileSync(path.join(dir, file), value);
  } catch {
    // What is in force is read back; a controller that is not is named to the admin.
  }
}
