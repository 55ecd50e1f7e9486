// A child that hangs in its start keeps its slot no longer than this, or a few of them would keep
// everybody else's children from starting.
const HOLD_MS = 5000;
/** How often it is looked, while starts wait, whether those under way leave a core to them. */
const LOOK_MS = 100;
/** That many times the count may be under way where they do: a child that waits for something now may compute next. */
const MOST_TIMES = 8;

/** What became of a start; `unknown` where it never began, or others see to what follows. */
export type StartEnd = "well" | "failed" | "unknown";

export interface SpawnSlotsOptions {
  /** How many cores did nothing since it was last asked. */
  idleCores?: () => number;
  /** How many times as long as a start that failed took its slot rests; given how many failed in a row. */
  restTimes: (failedInARow: number) => number;
}

interface Waiting {
  readonly rank: number;
  readonly enter: () => void;
}

/**
 * Lets so many starts run at once, the others in order of arrival. After one that failed its slot
 * rests, so that many of them leave the machine to the others.
 *
 * With `idleCores` those that wait for the network or a timer do not keep the others waiting, nor do
 * those that rest: one more begins as often as a core is found idle.
 */
export class SpawnSlots {
  readonly #most: number;
  readonly #idleCores: (() => number) | undefined;
  readonly #restTimes: (failedInARow: number) => number;
  readonly #waiting: Waiting[] = [];
  /** Below zero where more are under way than the count. */
  #free: number;
  #timer: NodeJS.Timeout | undefined;
  #failedInARow = 0;

  constructor(count: number, { idleCores, restTimes }: SpawnSlotsOptions) {
    this.#free = count;
    this.#most = count * (MOST_TIMES - 1);
    this.#idleCores = idleCores;
    this.#restTimes = restTimes;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves when it is this start's turn, with a function that ends the turn. Those of a lower rank
   * go first. No rest outlasts the time for which a slot is held.
   * Rejects with the signal's reason when that aborts first.
   */
  async take(signal: AbortSignal, rank = 0): Promise<(end: StartEnd) => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#queue(signal, rank);
    const since = performance.now();
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      clearTimeout(timer);
      this.#free++;
      if (this.#free > 0) this.#admitNext();
    };
    const timer = setTimeout(release, HOLD_MS);
    return (end) => {
      if (end === "well") this.#failedInARow = 0;
      if (end !== "failed") return release();
      const tookMs = performance.now() - since;
      setTimeout(release, this.#restTimes(++this.#failedInARow) * tookMs).unref();
    };
  }

  #queue(signal: AbortSignal, rank: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const waiting = { rank, enter };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", leave, { once: true });
      const behind = this.#waiting.findLastIndex((other) => other.rank <= rank);
      this.#waiting.splice(behind + 1, 0, waiting);
      this.#watchCores();
    });
  }

  #admitNext(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#free--;
    next.enter();
  }

  #watchCores(): void {
    const idleCores = this.#idleCores;
    if (idleCores === undefined || this.#timer !== undefined) return;
    // From now on: what was idle before says nothing of the starts that are under way.
    idleCores();
    this.#timer = setInterval(() => {
      if (this.#waiting.length === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      } else if (idleCores() >= 1 && this.#free > -this.#most) this.#admitNext();
    }, LOOK_MS);
  }
}
