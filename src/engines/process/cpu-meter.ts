import { runnableOf } from "./process-table.ts";
import type { CpuLoad } from "../engine.ts";
import type { CpuUse } from "./cgroup.ts";
import type { ProcessEntry, Runnable } from "./process-table.ts";

/** So much of it is all of it: no process gets the very last percent. */
const ALL = 0.9;

/** Programs that start, and calls that compute for a moment, are no news. */
const SUSTAINED_MS = 10_000;
/** What the kernel counts time in, for programs. */
const MS_A_TICK = 10;

interface Look {
  usedMs: number;
  /** It would have used all of its limit, had the machine had it to give or the kernel let it. */
  isHeldBack: (elapsedMs: number, allowedMs: number) => boolean;
}

/** Finds out from looks at a child, taken one after the other, whether it uses all of its CPU, and since when. */
export class CpuMeter {
  readonly #limit: number | undefined;
  #lastAt: number | undefined;
  #use: CpuUse | undefined;
  #processes: ReadonlyMap<string, Times> | undefined;
  #busySince: number | undefined;
  #cores = 0;
  #tellBusy: ((load: CpuLoad) => void) | undefined;
  #isBusyTold = false;

  /** `limit`: in cores. */
  constructor(limit: number | undefined) {
    this.#limit = limit;
  }

  /** What the kernel counts for the child's cgroup, at that time (`performance.now()`). */
  countGroup(use: CpuUse, at: number): void {
    const last = this.#use ?? use;
    this.#use = use;
    const periods = use.periods - last.periods;
    const isThrottled = periods > 0 && use.throttled - last.throttled >= periods * ALL;
    this.#judge(at, { usedMs: use.usedMs - last.usedMs, isHeldBack: () => isThrottled });
  }

  /** The processes of a child without a cgroup, at that time (`performance.now()`). */
  countProcesses(
    members: readonly ProcessEntry[],
    at: number,
    runnable: (entry: ProcessEntry) => Runnable = runnableOf,
  ): void {
    const now = new Map(
      members.map((entry) => [
        `${entry.pid}@${entry.startTicks}`,
        { ...runnable(entry), ownTicks: entry.ownTicks, reapedTicks: entry.reapedTicks },
      ]),
    );
    const before = this.#processes ?? now;
    this.#processes = now;
    const wanted = wantedBetween(before, now);
    this.#judge(at, {
      usedMs: ticksBetween(before, now) * MS_A_TICK,
      // One that answers calls waits for a turn too, but not all the time.
      isHeldBack: (elapsedMs, allowedMs) =>
        wanted.some((ms) => ms >= elapsedMs * ALL) && sum(wanted) >= allowedMs * ALL,
    });
  }

  /** Null unless it has been at it for a while. */
  load(): CpuLoad | null {
    if (this.#busySince === undefined) return null;
    const forMs = performance.now() - this.#busySince;
    if (forMs < SUSTAINED_MS) return null;
    // Told by the wall clock of now, so that it stays true when that is set.
    const since = Math.round(Date.now() - forMs);
    const [cores, limit] = [this.#cores, this.#limit ?? null];
    return { since, cores, limit, isStarved: cores < (limit ?? 1) * ALL };
  }

  /** Tells each time that it begins to, and at once where it already does. */
  onBusy(tell: (load: CpuLoad) => void): void {
    this.#tellBusy = tell;
    this.#tellNews();
  }

  #tellNews(): void {
    const load = this.load();
    if (load !== null && !this.#isBusyTold) this.#tellBusy?.(load);
    this.#isBusyTold = load !== null && this.#tellBusy !== undefined;
  }

  #judge(at: number, { usedMs, isHeldBack }: Look): void {
    const from = this.#lastAt;
    this.#lastAt = at;
    if (from === undefined) return;
    const allowedMs = (at - from) * (this.#limit ?? 1);
    this.#cores = usedMs / (at - from);
    const isBusy = usedMs >= allowedMs * ALL || isHeldBack(at - from, allowedMs);
    if (!isBusy) this.#busySince = undefined;
    else this.#busySince ??= from;
    this.#tellNews();
  }
}

interface Times extends Runnable {
  ownTicks: number;
  reapedTicks: number;
}

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

/** For how long each process that was there at both looks ran or waited for its turn. */
function wantedBetween(
  before: ReadonlyMap<string, Runnable>,
  now: ReadonlyMap<string, Runnable>,
): number[] {
  return [...now].map(([name, { ranMs, waitedMs }]) => {
    const last = before.get(name);
    return last === undefined ? 0 : ranMs + waitedMs - last.ranMs - last.waitedMs;
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
