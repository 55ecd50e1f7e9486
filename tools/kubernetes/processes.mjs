// Starts the programs of the cluster, each in its host and in the cluster's cgroup, and ends them by their pids.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, openSync, closeSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { SYSTEM_PROCS, pidsOfCluster } from "./cgroups.mjs";
import { LOGS, RUN, namespaceFile } from "./places.mjs";

const NOTES = join(RUN, "processes");
/** It becomes one of the cluster before it becomes the program, so that nothing of it is ever outside. */
const ENTER = 'echo $$ > "$0" && exec "$@"';

export const run = (program, args, options = {}) =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], ...options });

export async function until(probe, what, patienceMs = 60_000) {
  const deadline = performance.now() + patienceMs;
  while (!(await probe())) {
    if (performance.now() > deadline)
      throw new Error(`waited ${patienceMs} ms in vain until ${what}`);
    await pause(50);
  }
}

const noteOf = (name) => JSON.parse(readFileSync(join(NOTES, `${name}.json`), "utf8"));
export const logOf = (name) => join(LOGS, `${name}.log`);

/** When a process began, in ticks: with its pid that names it for good. */
function beganAt(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const [state, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z" ? null : rest[18];
  } catch {
    return null;
  }
}

export const isAlive = ({ pid, began }) => beganAt(pid) === began;

/**
 * Starts `argv` in a host. `mounts` is "own" for a program that has the host's mounts made for itself,
 * or the name of the one whose it shares.
 */
export function start(name, { namespace, mounts, argv }) {
  mkdirSync(NOTES, { recursive: true });
  mkdirSync(LOGS, { recursive: true });
  const enter = ["nsenter", `--net=${namespaceFile(namespace)}`];
  if (mounts === "own") enter.push("unshare", "--mount");
  else if (mounts !== undefined) enter.push(`--mount=/proc/${noteOf(mounts).pid}/ns/mnt`);
  const log = openSync(logOf(name), "a");
  const child = spawn("sh", ["-c", ENTER, SYSTEM_PROCS, ...enter, ...argv], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.unref();
  const note = { namespace, mounts, argv, pid: child.pid, began: beganAt(child.pid) };
  writeFileSync(join(NOTES, `${name}.json`), JSON.stringify(note));
}

/** The same program once more, after its end. */
export const startAgain = (name) => start(name, noteOf(name));

export async function end(name, signal = "SIGTERM") {
  const note = noteOf(name);
  if (!isAlive(note)) return;
  process.kill(note.pid, signal);
  await until(() => !isAlive(note), `${name} has ended`);
}

/** Fails with the end of its log where the program has ended. */
export function requireAlive(name) {
  if (isAlive(noteOf(name))) return;
  const lines = readFileSync(logOf(name), "utf8").trimEnd().split("\n").slice(-15);
  throw new Error(`${name} has ended:\n${lines.join("\n")}`);
}

/** A command in a host, with the mounts of one of its programs if named. */
export function inHost({ namespace, mounts }, argv, options) {
  const enter = [`--net=${namespaceFile(namespace)}`];
  if (mounts !== undefined) enter.push(`--mount=/proc/${noteOf(mounts).pid}/ns/mnt`);
  return run("nsenter", [...enter, ...argv], options);
}

function signalAll(pids, what) {
  for (const pid of pids)
    try {
      process.kill(pid, what);
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
}

/** Ends all that is in the cluster's cgroup, whoever started it. */
export async function endAll() {
  signalAll(pidsOfCluster(), "SIGKILL");
  await until(() => {
    const left = pidsOfCluster();
    signalAll(left, "SIGKILL");
    return left.length === 0;
  }, "nothing of the cluster runs");
}
