// Ends all that a run of tests has started, whatever became of those between.
import { readFileSync, readdirSync } from "node:fs";

const PATIENCE_MS = 10_000;
const LOOK_MS = 50;

/** Inherited by what a run starts, and by what that starts; a daemon's children are known by their parent. */
export const MARK = `MCP_SUPERVISOR_TEST_RUN=${process.pid}-${Date.now()}`;

function read(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/** The living processes of this run but for this one. */
function descendants() {
  const found = new Set([process.pid]);
  const parents = new Map();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const [, state, parent] = /^.*\) (\S) (\d+)/s.exec(read(name, "stat")) ?? [];
    if (state === undefined || state === "Z") continue;
    parents.set(Number(name), Number(parent));
    if (read(name, "environ").includes(MARK)) found.add(Number(name));
  }
  for (let size = 0; size < found.size;) {
    size = found.size;
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid);
  }
  found.delete(process.pid);
  return [...found];
}

function signalAll(pids, signal) {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It ended by itself.
    }
  }
}

/** Asks all of them to end, once, so that daemons end their children in order; kills what is left after a while. */
export async function endDescendants() {
  const told = new Set();
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const left = descendants();
    if (left.length === 0) return;
    if (performance.now() > deadline) signalAll(left, "SIGKILL");
    const others = left.filter((pid) => !told.has(pid));
    for (const pid of others) told.add(pid);
    signalAll(others, "SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
