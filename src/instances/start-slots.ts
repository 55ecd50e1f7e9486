import { onAbort } from "../platform/abort.ts";

// A child that hangs in its start keeps its slot no longer than this, or a few of them would keep
// everybody else's children from starting.
const HOLD_MS = 5000;
/** No rest is longer: what kept a server from starting may be over. */
const MAX_REST_MS = 8000;
/** How often it is looked, while starts wait, whether those under way leave a core to them. */
const LOOK_MS = 100;
/** That many times the count may be under way where they do: a child that waits for something now may compute next. */
const MAX_TIMES = 8;

/** What became of a start; `unknown` where it never began, or others see to what follows. */
export type StartEnd = "well" | "failed" | "unknown";

export interface StartSlotsOptions {
  /** How many cores did nothing since it was last asked. */
  idleCores?: () => number;
  /** How many times as long as a start that failed took its slot rests; given how many failed in a row. */
  restTimes: (failedInARow: number) => number;
}

interface Waiting {
  readonly rank: number;
  readonly enter: (rest?: Rest) => void;
}

/** Until when those of this rank and higher ones leave a slot alone. */
interface Rest {
  readonly rank: number;
  /** `performance.now()`. */
  readonly until: number;
}

/**
 * Lets so many starts run at once, the others in order of arrival. After one that failed its slot
 * rests, so that many of them leave the machine to the others; those of a lower rank do not wait
 * for that.
 *
 * With `idleCores` those that wait for the network or a timer do not keep the others waiting, nor do
 * those that rest: one more begins as often as a core is found idle.
 */
export class StartSlots {
  readonly #most: number;
  readonly #idleCores: (() => number) | undefined;
  readonly #restTimes: (failedInARow: number) => number;
  readonly #waiting: Waiting[] = [];
  /** Below zero where more are under way than the count. */
  #free: number;
  #timer: NodeJS.Timeout | undefined;
  readonly #resting = new Map<Rest, NodeJS.Timeout>();
  #failedInARow = 0;

  constructor(count: number, { idleCores, restTimes }: StartSlotsOptions) {
    this.#free = count;
    this.#most = count * (MAX_TIMES - 1);
    this.#idleCores = idleCores;
    this.#restTimes = restTimes;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Resolves when it is this start's turn, with a function that ends the turn. Those of a lower rank
   * go first.
   * Rejects with the signal's reason when that aborts first.
   */
  async take(signal: AbortSignal, rank = 0): Promise<(end: StartEnd) => void> {
    signal.throwIfAborted();
    let rest: Rest | undefined;
    if (this.#free > 0) this.#free--;
    else rest = this.#wake(rank) ?? (await this.#queue(signal, rank));
    const since = performance.now();
    let isHeld = true;
    const giveBack = (next = rest) => {
      if (!isHeld) return;
      isHeld = false;
      clearTimeout(timer);
      if (next && next.until > performance.now()) this.#rest(next);
      else this.#release();
    };
    const timer = setTimeout(giveBack, HOLD_MS);
    return (end) => {
      // That one who failed less often could be started says nothing of those it came before.
      if (end === "well" && rest === undefined) this.#failedInARow = 0;
      if (end !== "failed") return giveBack();
      const now = performance.now();
      const restMs = this.#restTimes(++this.#failedInARow) * (now - since);
      giveBack({ rank, until: now + Math.min(restMs, MAX_REST_MS) });
    };
  }

  #rest(rest: Rest): void {
    const [next] = this.#waiting;
    if (next !== undefined && next.rank < rest.rank) {
      this.#waiting.shift();
      return next.enter(rest);
    }
    const over = () => {
      this.#resting.delete(rest);
      this.#release();
    };
    this.#resting.set(rest, setTimeout(over, rest.until - performance.now()).unref());
  }

  /** Takes a slot that rests only for higher ranks; its rest goes on after that. */
  #wake(rank: number): Rest | undefined {
    for (const [rest, timer] of this.#resting) {
      if (rest.rank <= rank) continue;
      clearTimeout(timer);
      this.#resting.delete(rest);
      return rest;
    }
    return undefined;
  }

  #release(): void {
    this.#free++;
    if (this.#free > 0) this.#admitNext();
  }

  #queue(signal: AbortSignal, rank: number): Promise<Rest | undefined> {
    return new Promise((resolve, reject) => {
      const enter = (rest?: Rest) => {
        forget();
        resolve(rest);
      };
      const waiting = { rank, enter };
      const forget = onAbort(signal, () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason as Error);
      });
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
