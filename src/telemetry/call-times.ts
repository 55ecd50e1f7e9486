/** What calls of tools took, in numbers. */
export interface CallFigures {
  calls: number;
  /** Those that were not answered well, whoever was at fault. */
  errors: number;
  /** Milliseconds; null where there was no call. No more than 10 % off. */
  p50Ms: number | null;
  p99Ms: number | null;
}

const SMALLEST_MS = 0.1;
const GROWTH = 1.1;
/** Up to an hour. */
const BUCKETS = 184;
const SLOT_MS = 5_000;
const SLOTS = 12;

function bucketOf(ms: number): number {
  if (ms <= SMALLEST_MS) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / SMALLEST_MS) / Math.log(GROWTH)));
}

const upperMs = (bucket: number): number => SMALLEST_MS * GROWTH ** bucket;

/** Calls by what they took, in steps of 10 %: its size does not depend on how many there are. */
class Histogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #errors = 0;

  add(bucket: number, isError: boolean): void {
    this.#counts[bucket]! += 1;
    if (isError) this.#errors += 1;
  }

  addAll(other: Histogram): void {
    for (const [bucket, count] of other.#counts.entries()) this.#counts[bucket]! += count;
    this.#errors += other.#errors;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#errors = 0;
  }

  figures(): CallFigures {
    const calls = this.#counts.reduce((sum, count) => sum + count, 0);
    const p50Ms = this.#quantile(calls, 0.5);
    const p99Ms = this.#quantile(calls, 0.99);
    return { calls, errors: this.#errors, p50Ms, p99Ms };
  }

  #quantile(calls: number, share: number): number | null {
    if (calls === 0) return null;
    let left = Math.ceil(calls * share);
    const found = this.#counts.findIndex((count) => (left -= count) <= 0);
    return Math.round(upperMs(found) * 10) / 10;
  }
}

/** What the calls of the last minute took, and those since somebody took note last. */
export class CallTimes {
  readonly #slots = Array.from({ length: SLOTS }, () => ({ turn: 0, calls: new Histogram() }));
  readonly #untaken = new Histogram();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(durationMs: number, isError: boolean): void {
    const turn = this.#turn();
    const slot = this.#slots[turn % SLOTS]!;
    if (slot.turn !== turn) {
      slot.turn = turn;
      slot.calls.clear();
    }
    const bucket = bucketOf(durationMs);
    slot.calls.add(bucket, isError);
    this.#untaken.add(bucket, isError);
  }

  /** Of the last minute, to five seconds. */
  lastMinute(): CallFigures {
    const oldest = this.#turn() - SLOTS;
    const all = new Histogram();
    for (const { turn, calls } of this.#slots) if (turn > oldest) all.addAll(calls);
    return all.figures();
  }

  /** Of all calls since this was asked last. */
  take(): CallFigures {
    const figures = this.#untaken.figures();
    this.#untaken.clear();
    return figures;
  }

  #turn(): number {
    return Math.floor(this.#now() / SLOT_MS);
  }
}
