import { setTimeout as delay } from "node:timers/promises";
import { findProcess, readProcessTable, treeOf } from "./process-table.ts";
import { send } from "./signal.ts";
import type { Cgroup } from "./cgroup.ts";
import type { ProcessEntry } from "./process-table.ts";

const POLL_MS = 10;
const MAX_POLL_MS = 100;

/**
 * One process tree on its way out. It remembers every member it has seen, because a process that
 * went off into a session of its own is found only as long as its parent lives.
 */
export class DyingTree {
  readonly #leader: number;
  readonly #cgroup: Cgroup | undefined;
  readonly #isWrapped: boolean;
  readonly #seen = new Map<number, number>();

  /**
   * `cgroup`: where all of it is, if it has one; then no member can be missed. `isWrapped`: the
   * leader is not the server's own process, and all else ends at once with it.
   */
  constructor(leader: number, { cgroup, isWrapped }: { cgroup?: Cgroup; isWrapped: boolean }) {
    this.#leader = leader;
    this.#cgroup = cgroup;
    this.#isWrapped = isWrapped;
  }

  /** The members that still live, the strays among them. */
  async survivors(): Promise<ProcessEntry[]> {
    // Asked first, because it is answered without a look at every process of the machine.
    return this.#isGone() ? [] : this.membersOf(await this.#table());
  }

  /** The living members as this table tells, the strays among them. */
  membersOf(table: readonly ProcessEntry[]): ProcessEntry[] {
    const inCgroup = new Set(this.#cgroup?.pids());
    for (const { pid, startTicks } of table) if (inCgroup.has(pid)) this.#seen.set(pid, startTicks);
    const members = treeOf(this.#leader, table, this.#seen);
    for (const { pid, startTicks } of members) this.#seen.set(pid, startTicks);
    return members;
  }

  /** Certain only where there is a cgroup. The leader may be on its way into it still. */
  #isGone(): boolean {
    if (this.#cgroup === undefined) return false;
    try {
      return !this.#cgroup.isPopulated() && findProcess(this.#leader)?.isZombie !== false;
    } catch {
      return false;
    }
  }

  async #table(): Promise<ProcessEntry[]> {
    for (;;) {
      try {
        return await readProcessTable();
      } catch {
        // No descriptor left for the moment: not to know who lives is no reason to call it gone.
        await delay(MAX_POLL_MS);
      }
    }
  }

  /** Signals the group at once, and each member outside of it by its own id; a wrapper is killed, never asked. */
  signal(members: readonly ProcessEntry[], signal: NodeJS.Signals): void {
    if (this.#isWrapped && signal !== "SIGKILL") {
      for (const { pid } of members) if (pid !== this.#leader) send(pid, signal);
      return;
    }
    if (members.some(({ group }) => group === this.#leader)) send(-this.#leader, signal);
    for (const { pid, group } of members) if (group !== this.#leader) send(pid, signal);
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
    for (let pollMs = POLL_MS; ; pollMs = Math.min(pollMs * 2, MAX_POLL_MS)) {
      const left = await this.survivors();
      if (left.length === 0) return;
      this.#cgroup?.kill();
      this.signal(left, "SIGKILL");
      await delay(pollMs);
    }
  }
}
