import { setTimeout as delay } from "node:timers/promises";
import { readProcessTable, treeOf } from "./process-table.ts";
import type { ProcessEntry } from "./process-table.ts";

const POLL_MS = 10;
const MAX_POLL_MS = 100;

/**
 * One process tree on its way out. It remembers every member it has seen, because a process that
 * went off into a session of its own is found only as long as its parent lives.
 */
export class DyingTree {
  readonly #leader: number;
  readonly #seen = new Map<number, number>();

  constructor(leader: number) {
    this.#leader = leader;
  }

  /** The members that still live, the strays among them. */
  async survivors(): Promise<ProcessEntry[]> {
    const members = treeOf(this.#leader, await this.#table(), this.#seen);
    for (const { pid, startTicks } of members) this.#seen.set(pid, startTicks);
    return members;
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

  /** Signals the group at once, and each member outside of it by its own id. */
  signal(members: readonly ProcessEntry[], signal: NodeJS.Signals): void {
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
      this.signal(left, "SIGKILL");
      await delay(pollMs);
    }
  }
}

function send(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal);
  } catch {
    // ESRCH: it ended between the look and the signal. EPERM: it changed its user; the next look tells.
  }
}
