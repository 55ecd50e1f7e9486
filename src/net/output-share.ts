/** Lines and bytes, as they are counted against a child. */
interface Amount {
  readonly lines: number;
  readonly bytes: number;
}

/** What a child may write unasked at full speed, before it is read slowly. */
const BURST: Amount = { lines: 8192, bytes: 128 * 1024 * 1024 };
/** What it is given back of that in a second. */
const A_SECOND: Amount = { lines: 1000, bytes: 16 * 1024 * 1024 };
/** A flood is over when for so long all that was written could be read at once. */
const CALM_MS = 1000;
/** Programs that say much at their start, or once in a while, are no news. */
const SUSTAINED_MS = 10_000;

interface Flood {
  readonly since: number;
  windowAt: number;
  /** Within the window more was written than was read. */
  isBehind: boolean;
  isTold: boolean;
}

/**
 * One child's share of the event loop, for all that it writes. The loop is everybody's: a child that
 * writes more than it was asked for is read slowly from some point on, and waits meanwhile.
 */
export class OutputShare {
  #lines = BURST.lines;
  #bytes = BURST.bytes;
  #refilledAt = performance.now();
  #flood: Flood | undefined;
  #tell: ((ms: number) => void) | undefined;

  /** Calls back with the time (ms) for which the child has been flooding when that is a while, once for each flood. */
  onFlood(tell: (ms: number) => void): void {
    this.#tell = tell;
  }

  /** For how long (ms) the child has been flooding without a pause; null where it is not, or not for long. */
  get floodingMs(): number | null {
    if (this.#flood === undefined) return null;
    const now = performance.now();
    const forMs = now - this.#flood.since;
    // Silent since: nobody has come to notice that it is over.
    const isOver = now - this.#flood.windowAt > 2 * CALM_MS;
    return isOver || forMs < SUSTAINED_MS ? null : forMs;
  }

  /** Takes note of what was read; `isBehind` where more is there to be read already. False where the child is to be read slowly. */
  spend(lines: number, bytes: number, isBehind: boolean): boolean {
    if (this.#flood !== undefined) return this.#isCalm(this.#flood, isBehind);
    this.#lines -= lines;
    this.#bytes -= bytes;
    if (this.#lines >= 0 && this.#bytes >= 0) return true;
    const now = performance.now();
    const seconds = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    this.#lines = Math.min(BURST.lines, this.#lines + seconds * A_SECOND.lines);
    this.#bytes = Math.min(BURST.bytes, this.#bytes + seconds * A_SECOND.bytes);
    if (this.#lines >= 0 && this.#bytes >= 0) return true;
    this.#flood = { since: now, windowAt: now, isBehind, isTold: false };
    return false;
  }

  /** A line of so many bytes was asked for, as an answer is: it is held against nobody. */
  refund(bytes: number): void {
    this.#lines += 1;
    this.#bytes += bytes;
  }

  #isCalm(flood: Flood, isBehind: boolean): boolean {
    flood.isBehind ||= isBehind;
    const now = performance.now();
    if (now - flood.windowAt < CALM_MS) return false;
    if (!flood.isBehind) {
      this.#flood = undefined;
      this.#lines = A_SECOND.lines;
      this.#bytes = A_SECOND.bytes;
      this.#refilledAt = now;
      return true;
    }
    flood.windowAt = now;
    flood.isBehind = false;
    if (!flood.isTold && now - flood.since >= SUSTAINED_MS) {
      flood.isTold = true;
      this.#tell?.(now - flood.since);
    }
    return false;
  }
}
