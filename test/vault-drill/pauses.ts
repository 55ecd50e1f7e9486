// Loaded into a daemon with --import: on SIGUSR2 it writes to the file that PAUSES_FILE names how long
// the event loop was held at most since it was last asked, and for which part of the time it was busy.
import { renameSync, writeFileSync } from "node:fs";

export interface Pauses {
  turn: number;
  maxMs: number;
  /** As much of a pause as the daemon itself was busy: on a machine with other work the rest is its wait for a core. */
  maxBusyMs: number;
  /** From 0 to 1. */
  busyPart: number;
}

const EVERY_MS = 1;
const file = process.env["PAUSES_FILE"];
/** Of this thread alone, where this Node can tell. */
const busyMs = (): number => {
  const canTell = typeof process.threadCpuUsage === "function";
  const { user, system } = canTell ? process.threadCpuUsage() : process.cpuUsage();
  return (user + system) / 1000;
};
let turn = 0;
let maxMs = 0;
let maxBusyMs = 0;
let utilization = performance.eventLoopUtilization();
let before = { at: performance.now(), busy: busyMs() };

if (file !== undefined) {
  setInterval(() => {
    const now = { at: performance.now(), busy: busyMs() };
    maxMs = Math.max(maxMs, now.at - before.at - EVERY_MS);
    maxBusyMs = Math.max(maxBusyMs, now.busy - before.busy);
    before = now;
  }, EVERY_MS).unref();
  process.on("SIGUSR2", () => {
    turn += 1;
    const { utilization: busyPart } = performance.eventLoopUtilization(utilization);
    utilization = performance.eventLoopUtilization();
    const pauses: Pauses = { turn, maxMs, maxBusyMs, busyPart };
    writeFileSync(`${file}.new`, JSON.stringify(pauses));
    renameSync(`${file}.new`, file);
    maxMs = maxBusyMs = 0;
  });
}
