import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";

/** The living processes that were started with this text in their environment, strays included. */
export function processesMarked(marker: string): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid) || pid === process.pid) return false;
      try {
        // A zombie has no environment left to read.
        return readFileSync(`/proc/${pid}/environ`, "utf8").includes(marker);
      } catch {
        return false;
      }
    });
}

/** Fails when a process with the marker in its environment lives, and ends it, so that one failure stays one. */
export function assertNoneLeft(marker: string): void {
  const left = processesMarked(marker);
  const words = left.map(
    (pid) => `${pid}: ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`,
  );
  for (const pid of left) process.kill(pid, "SIGKILL");
  assert.deepEqual(words, [], "processes were left behind");
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
