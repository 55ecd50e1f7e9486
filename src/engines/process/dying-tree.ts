import { setTimeout as delay } from "node:timers/promises";
import { killAtSight, readMarks } from "./marks.ts";
import { findProcess, readProcessTable, treeOf } from "./process-table.ts";
import { sendSignal } from "./signal.ts";
import type { Cgroup } from "./cgroup.ts";
import type { MarkedTable } from "./marks.ts";
import type { ProcessEntry } from "./process-table.ts";

const POLL_MS = 10;
const MAX_POLL_MS = 100;
/** Two looks that find nothing, or four while processes come and go. */
const ENOUGH_CALM = 4;
const STEADY_CALM = 2;
/** No process has this number, and none leads a group of it. */
const NOBODY = -1;

/** What is known of a tree before it is looked for. */
export interface TreeSigns {
  /** Where all of it is and stays. */
  cgroup: Cgroup | undefined;
  /** In the environment of its members; undefined where they are found without, or cannot go astray. */
  mark: string | undefined;
  /** The leader is not the server's own process, and all else ends at once with it. */
  isWrapped: boolean;
}

/**
 * One process tree on its way out. It remembers every member it has seen: a process that went off into
 * a session of its own and lost its parent is found by its mark alone, which it may have taken off.
 */
export class DyingTree {
  readonly #leader: number;
  readonly #signs: TreeSigns;
  readonly #seen = new Map<number, number>();
  /** How much looks in a row that found nothing are worth. */
  #calm = 0;
  /** Nobody has the leader's number any more, as a pid, a group or a session: it may be given out again. */
  #isNumberFree = false;

  constructor(leader: number, signs: TreeSigns) {
    this.#leader = leader;
    this.#signs = signs;
  }

  /** The members that still live, the strays among them. */
  async survivors(): Promise<ProcessEntry[]> {
    const { mark } = this.#signs;
    // Asked first, because it is answered without a look at every process of the machine.
    if (mark === undefined && this.#isGone()) {
      this.#calm = ENOUGH_CALM;
      return [];
    }
    const { table, marks, isSteady } =
      mark === undefined ? await unmarked() : await insist(readMarks);
    for (const { pid, startTicks } of table)
      if (mark !== undefined && marks.get(pid) === mark) this.#seen.set(pid, startTicks);
    const leader = this.#leader;
    this.#isNumberFree ||= !table.some(
      ({ pid, group, session }) => pid === leader || group === leader || session === leader,
    );
    const left = this.membersOf(table);
    // What forks and ends in a loop can be gone from each look's way: then more of them are needed.
    if (left.length > 0) this.#calm = 0;
    else this.#calm += mark === undefined ? ENOUGH_CALM : isSteady ? STEADY_CALM : 1;
    return left;
  }

  /** The living members as this table tells, the strays among them. */
  membersOf(table: readonly ProcessEntry[]): ProcessEntry[] {
    const inCgroup = new Set(this.#signs.cgroup?.pids());
    for (const { pid, startTicks } of table) if (inCgroup.has(pid)) this.#seen.set(pid, startTicks);
    const members = treeOf(this.#isNumberFree ? NOBODY : this.#leader, table, this.#seen);
    for (const { pid, startTicks } of members) this.#seen.set(pid, startTicks);
    return members;
  }

  /** Certain only where there is a cgroup. The leader may be on its way into it still. */
  #isGone(): boolean {
    const { cgroup } = this.#signs;
    if (cgroup === undefined) return false;
    try {
      return !cgroup.isPopulated() && findProcess(this.#leader)?.isZombie !== false;
    } catch {
      return false;
    }
  }

  /** Signals the group at once, and each member outside of it by its own id; a wrapper is killed, never asked. */
  signal(members: readonly ProcessEntry[], signal: NodeJS.Signals): void {
    if (this.#signs.isWrapped && signal !== "SIGKILL") {
      for (const { pid } of members) if (pid !== this.#leader) sendSignal(pid, signal);
      return;
    }
    if (members.some(({ group }) => group === this.#leader)) sendSignal(-this.#leader, signal);
    for (const { pid, group } of members) if (group !== this.#leader) sendSignal(pid, signal);
  }

  /** Waits until nothing of the tree lives, at most `timeoutMs`; tells who is left. */
  async gone(timeoutMs: number, leaderExited: Promise<unknown>): Promise<ProcessEntry[]> {
    const deadline = performance.now() + timeoutMs;
    // The leader's end is an event, so an orderly stop costs no polling.
    const timer = new AbortController();
    await Promise.race([
      leaderExited,
      delay(timeoutMs, undefined, { signal: timer.signal }).catch(() => {}),
    ]);
    timer.abort();
    for (let pollMs = POLL_MS; ; pollMs = Math.min(pollMs * 2, MAX_POLL_MS)) {
      const left = await this.survivors();
      const remaining = deadline - performance.now();
      if (left.length === 0 || remaining <= 0) return left;
      await delay(Math.min(pollMs, remaining));
    }
  }

  /** SIGKILL, again and again for those that were forked meanwhile, until nothing is left. */
  async kill(): Promise<void> {
    const { mark, cgroup } = this.#signs;
    const pardon = mark === undefined ? () => {} : killAtSight(mark);
    try {
      for (let pollMs = POLL_MS; ; pollMs = Math.min(pollMs * 2, MAX_POLL_MS)) {
        const left = await this.survivors();
        if (this.#calm >= ENOUGH_CALM) return;
        if (left.length === 0) continue;
        cgroup?.kill();
        this.signal(left, "SIGKILL");
        await delay(pollMs);
      }
    } finally {
      pardon();
    }
  }
}

async function unmarked(): Promise<MarkedTable> {
  return { table: await insist(readProcessTable), marks: new Map(), isSteady: true };
}

/** No descriptor left for the moment: not to know who lives is no reason to call it gone. */
async function insist<T>(look: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await look();
    } catch {
      await delay(MAX_POLL_MS);
    }
  }
}
