import { setTimeout as delay } from "node:timers/promises";
import { readMarks } from "./marks.ts";
import { findProcess, treeOf } from "./process-table.ts";
import type { Cgroup } from "./cgroup.ts";
import type { EarlierLives, ProcessName } from "./child-journal.ts";
import type { ProcessEntry } from "./process-table.ts";

const POLL_MS = 20;
// A process that the kernel cannot end (it waits for a dead disk, say) must not keep the daemon from serving.
const PATIENCE_MS = 10_000;

export interface Reaped {
  /** How many processes were ended. */
  count: number;
  /** Those that could not be: another account's, or stuck in the kernel. */
  left: ProcessName[];
}

/**
 * Ends what earlier lives of the daemon left running, and resolves when it is gone, or after 10 s.
 *
 * A process is ours when its environment has a mark of this data folder, or when the journal
 * names it by pid and start time, or when it descends from such a one: never by its pid alone, which
 * may be somebody else's by now. All that is in one of the `groups` is ours too.
 */
export async function reapEarlierLives(
  earlier: EarlierLives,
  groups: readonly Cgroup[] = [],
): Promise<Reaped> {
  const ended = new Map<number, number>();
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const left = await survivors(earlier, groups, ended);
    if (left.length === 0) {
      for (const group of groups) group.remove();
      return { count: ended.size, left: [] };
    }
    if (performance.now() > deadline) {
      for (const { pid } of left) ended.delete(pid);
      return { count: ended.size, left };
    }
    for (const group of groups) group.kill();
    for (const { pid, startTicks } of left) {
      ended.set(pid, startTicks);
      kill({ pid, startTicks });
    }
    await delay(POLL_MS);
  }
}

/** The processes that `reapEarlierLives` would end, as they are now. */
export async function findEarlierLives(
  earlier: EarlierLives,
  groups: readonly Cgroup[] = [],
): Promise<ProcessName[]> {
  return await survivors(earlier, groups, new Map());
}

/** `seen`: those that were found before, which may have lost what they were known by since. */
async function survivors(
  earlier: EarlierLives,
  groups: readonly Cgroup[],
  seen: ReadonlyMap<number, number>,
): Promise<ProcessEntry[]> {
  const { table, marks } = await readMarks();
  const known = new Map(seen);
  const isThere = new Map(table.map(({ pid, startTicks }) => [pid, startTicks]));
  const found = new Map<number, ProcessEntry>();
  const take = (entries: readonly ProcessEntry[]): void => {
    for (const entry of entries) found.set(entry.pid, entry);
  };
  for (const { pid, startTicks } of earlier.children)
    if (isThere.get(pid) === startTicks) take(treeOf(pid, table, known));
  for (const pid of groups.flatMap((group) => group.pids()))
    if (isThere.has(pid)) known.set(pid, isThere.get(pid)!);
  for (const { pid, startTicks } of table)
    if (marks.get(pid)?.startsWith(earlier.markerPrefix)) known.set(pid, startTicks);
  // That is no process: only those that are known, and what descends from them.
  take(treeOf(-1, table, known));
  for (const pid of ownLine(table)) found.delete(pid);
  return [...found.values()];
}

/** This process and those it descends from: a child may have been what started the daemon anew. */
function ownLine(table: readonly ProcessEntry[]): number[] {
  const parents = new Map(table.map(({ pid, ppid }) => [pid, ppid]));
  const line: number[] = [];
  for (let pid: number | undefined = process.pid; pid; pid = parents.get(pid)) line.push(pid);
  return line;
}

function kill({ pid, startTicks }: ProcessName): void {
  try {
    // Looked at again at the last moment: since the table was read the pid may have changed hands.
    if (findProcess(pid)?.startTicks === startTicks) process.kill(pid, "SIGKILL");
  } catch {
    // It ended, or it is another account's; the next look tells.
  }
}
