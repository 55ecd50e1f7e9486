import type { CpuUse } from "./cgroup.ts";
import type { ProcessEntry } from "./process-table.ts";

/** A child that uses all the CPU it may, or more where nothing keeps it within its limit. */
export interface CpuLoad {
  /** Epoch ms. */
  since: number;
  /** Cores in use, lately. */
  cores: number;
  /** Its limit in cores; null for a child without one, of which a whole core is too much to be silent about. */
  limit: number | null;
}

/** So much of it is all of it: no process gets the very last percent. */
const ALL = 0.9;
/** Programs that start, and calls that compute for a moment, are no news. */
const SUSTAINED_MS = 10_000;
/** What the kernel counts time in, for programs. */
const MS_A_TICK = 10;

/** Finds out from looks at a child, taken one after the other, whether it uses all of its CPU, and since when. */
export class CpuMeter {
  readonly #limit: number | undefined;
  #lastAt: number | undefined;
  #use: CpuUse | undefined;
  #times: ReadonlyMap<string, Times> | undefined;
  #busySince: number | undefined;
  #cores = 0;

  /** `limit`: in cores. */
  constructor(limit: number | undefined) {
    this.#limit = limit;
  }

  /** What the kernel counts for the child's cgroup, at that time (`performance.now()`). */
  countGroup(use: CpuUse, at: number): void {
    const last = this.#use ?? use;
    this.#use = use;
    const periods = use.periods - last.periods;
    // Held back in every period it wants more than it has, even if the machine had less to give.
    const isHeldBack = periods > 0 && use.throttled - last.throttled >= periods * ALL;
    this.#judge(at, use.usedMs - last.usedMs, isHeldBack);
  }

  /** The processes of a child without a cgroup, at that time (`performance.now()`). */
  countProcesses(members: readonly ProcessEntry[], at: number): void {
    const times = new Map(members.map((entry) => [`${entry.pid}@${entry.startTicks}`, entry]));
    const ticks = ticksBetween(this.#times ?? times, times);
    this.#times = times;
    this.#judge(at, ticks * MS_A_TICK, false);
  }

  /** Null unless it has been at it for a while. */
  load(): CpuLoad | null {
    if (this.#busySince === undefined) return null;
    const forMs = performance.now() - this.#busySince;
    if (forMs < SUSTAINED_MS) return null;
    // Told by the wall clock of now, so that it stays true when that is set.
    const since = Math.round(Date.now() - forMs);
    return { since, cores: this.#cores, limit: this.#limit ?? null };
  }

  #judge(at: number, usedMs: number, isHeldBack: boolean): void {
    const from = this.#lastAt;
    this.#lastAt = at;
    if (from === undefined) return;
    this.#cores = usedMs / (at - from);
    const isBusy = isHeldBack || this.#cores >= (this.#limit ?? 1) * ALL;
    if (!isBusy) this.#busySince = undefined;
    else this.#busySince ??= from;
  }
}

type Times = Pick<ProcessEntry, "ownTicks" | "reapedTicks">;

/**
 * What a tree used between two looks. A process that ended is in the reaped time of its parent from
 * then on, with all it ever used: what was counted while it lived is not counted again.
 */
function ticksBetween(before: ReadonlyMap<string, Times>, now: ReadonlyMap<string, Times>): number {
  let [own, reaped] = [0, 0];
  for (const [name, entry] of now) {
    const last = before.get(name);
    own += entry.ownTicks - (last?.ownTicks ?? 0);
    reaped += entry.reapedTicks - (last?.reapedTicks ?? 0);
  }
  for (const [name, entry] of before)
    if (!now.has(name)) reaped -= entry.ownTicks + entry.reapedTicks;
  return own + Math.max(0, reaped);
}
