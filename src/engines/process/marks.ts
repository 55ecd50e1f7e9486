import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { findProcess, listPids } from "./process-table.ts";
import { SharedLook } from "./shared-look.ts";
import { sendSignal } from "./signal.ts";
import type { ProcessEntry } from "./process-table.ts";

/** In the environment of every child: `<id of the data folder>:<id of the daemon's life>:<number of the generation>`. */
export const MARKER_NAME = "MCP_SUPERVISOR_CHILD";

/** Each takes up to 50 µs. */
const SLICE = 16;
/** For how long one look runs after processes that fork faster than a look goes: at most, and after the last that it saw. */
const CHASE_MS = 8;
const CHASE_CALM_MS = 1;
/** Others fork too, and who waits for the CPU is not the newest for long. */
const CHASE_PIDS = 16;
/** Of an environment, at a time. */
const PIECE = 64 * 1024;
/** More than the kernel lets a program start with. */
const MAX_ENVIRONMENT = 8 * 2 ** 20;

const SHORTAGES = new Set<string | undefined>(["EMFILE", "ENFILE", "ENOMEM"]);

const NEEDLE = Buffer.from(`\0${MARKER_NAME}=`);

export interface MarkedTable {
  /** As of `readProcessTable`, the newest first. */
  table: ProcessEntry[];
  /** The marks of those among them that have one, by pid. */
  marks: ReadonlyMap<number, string>;
  /** None that was there when the look began was gone, or a zombie, when it was looked at. */
  isSteady: boolean;
}

const looks = new SharedLook(look);

/**
 * Every process of this machine from now on, with its mark. Shared by all who ask. Kills at sight what bears a doomed
 * mark, and tells of it. Rejects with the system's error when /proc cannot be read.
 */
export function readMarks(): Promise<MarkedTable> {
  return looks.read();
}

const doomed = new Set<string>();

/** Until the returned function is called, every look kills what bears this mark as soon as it sees it. */
export function killAtSight(mark: string): () => void {
  doomed.add(mark);
  return () => void doomed.delete(mark);
}

async function look(): Promise<MarkedTable> {
  const table: ProcessEntry[] = [];
  const marks = new Map<number, string>();
  const note = (entry: ProcessEntry): void => {
    const mark = entry.isZombie ? undefined : markOf(entry.pid);
    if (mark === undefined) return;
    marks.set(entry.pid, mark);
    if (doomed.has(mark)) sendSignal(entry.pid, "SIGKILL");
  };
  let hasVanished = false;
  // The newest first: what forks and ends in a loop is gone by the time that the others were looked at.
  for (const [index, pid] of listPids().toReversed().entries()) {
    if (index > 0 && index % SLICE === 0) await nextTurn();
    const entry = findProcess(pid);
    hasVanished ||= entry === undefined || entry.isZombie;
    if (entry === undefined) continue;
    table.push(entry);
    note(entry);
  }
  // What was gone before it was looked at may have left another, which will be gone just so.
  if (hasVanished && doomed.size > 0)
    chase((entry, mark) => (table.push(entry), marks.set(entry.pid, mark)));
  return { table, marks, isSteady: !hasVanished };
}

/**
 * Kills the doomed among the processes that were started last, over and over, and shows them. Each is
 * killed before anything more is asked about it: it is about to fork.
 */
function chase(show: (entry: ProcessEntry, mark: string) => void): void {
  const begun = performance.now();
  let lastSeen = begun;
  for (let now = begun; now - begun < CHASE_MS && now - lastSeen < CHASE_CALM_MS;) {
    const newest = newestPid();
    for (let pid = newest; pid > newest - CHASE_PIDS && pid > 0; pid--) {
      const mark = markOf(pid);
      if (mark === undefined || !doomed.has(mark)) continue;
      sendSignal(pid, "SIGKILL");
      lastSeen = performance.now();
      const entry = findProcess(pid);
      if (entry !== undefined) show(entry, mark);
    }
    now = performance.now();
  }
}

/** The pid that was given out last. */
function newestPid(): number {
  return Number(readFileSync("/proc/loadavg", "latin1").trim().split(" ").at(-1));
}

/** Undefined also for one that is gone, or not ours to look into. */
function markOf(pid: number): string | undefined {
  const environment = readEnvironment(pid);
  const at = environment?.indexOf(NEEDLE) ?? -1;
  if (environment === undefined || at < 0) return undefined;
  const from = at + NEEDLE.length;
  return environment.toString("latin1", from, environment.indexOf(0, from));
}

const buffer = Buffer.alloc(PIECE + 1);

/** With a zero before each variable and after the last; good until the next call. */
function readEnvironment(pid: number): Buffer | undefined {
  try {
    const fd = openSync(`/proc/${pid}/environ`, "r");
    try {
      let whole = buffer;
      let length = 1;
      for (let read = 1; read > 0; length += read) {
        if (length === whole.length - 1 && length < MAX_ENVIRONMENT)
          whole = Buffer.concat([whole, Buffer.alloc(whole.length)]);
        read = readSync(fd, whole, length, whole.length - length - 1, null);
      }
      whole[length] = 0;
      return whole.subarray(0, length + 1);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    // No descriptor left, say: not to know a mark must not look like there being none.
    if (SHORTAGES.has((error as NodeJS.ErrnoException).code)) throw error;
    return undefined;
  }
}
