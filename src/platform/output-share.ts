/** What is counted against a child: how much it wrote, and for how long (ms) the loop was busy with it. */
export interface Amount {
  readonly lines: number;
  readonly bytes: number;
  readonly ms: number;
}

/** What a child may write unasked at full speed, before it is read slowly. */
const BURST: Amount = { lines: 8192, bytes: 128 * 1024 * 1024, ms: 1000 };
/** What it is given back of that in a second. */
const A_SECOND: Amount = { lines: 1000, bytes: 16 * 1024 * 1024, ms: 250 };
/** A flood is over when for so long all that was written could be read at once. */
const CALM_MS = 1000;
/** Programs that say much at their start, or once in a while, are no news. */
const SUSTAINED_MS = 10_000;

const WINDOW_MS = 1000;
/** Who took less in a window keeps nobody waiting. */
const MUCH_MS = 10;

/** How many took much, in the window now and in the one before. */
let windowAt = -Infinity;
let busy = 0;
let busyBefore = 0;

/** What clients have asked a server. */
export interface Asking {
  /** Of all answers so far. */
  readonly answeredBytes: number;
  /** Answers that are to come. */
  readonly inFlight: number;
}

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
  #ms = BURST.ms;
  /** Since the last whole line: whether it was asked for is not known yet. */
  #heldMs = 0;
  #asked = 0;
  #refilledAt = performance.now();
  /** What `spendRead` was told of since something of it was last found to have been asked for. */
  #readBytes = 0;
  #readMs = 0;
  /** What was read since there is no room for it: it may all be of answers that have not shown yet. */
  #overBytes = 0;
  #asking: Asking = { answeredBytes: 0, inFlight: 0 };
  #refundedBytes = 0;
  /** The window that it has read in last, and for how long. */
  #windowAt = -Infinity;
  #windowMs = 0;
  #flood: Flood | undefined;
  #tell: ((ms: number) => void) | undefined;

  /** Calls back with the time (ms) for which the child has been flooding when that is a while, once for each flood. */
  onFlood(tell: (ms: number) => void): void {
    this.#tell = tell;
  }

  /** Who knows what of the bytes that are read was asked for. */
  countAsked(asking: Asking): void {
    this.#asking = asking;
    this.#refundedBytes = asking.answeredBytes;
  }

  /** It is to be read slowly. */
  get isFlooding(): boolean {
    return this.#flood !== undefined;
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
  spend({ lines, bytes, ms }: Amount, isBehind: boolean): boolean {
    if (this.#flood !== undefined) return this.#isCalm(this.#flood, isBehind);
    this.#lines -= lines;
    this.#bytes -= bytes;
    this.#ms -= this.#unaskedMs(lines, this.#weighed(ms));
    return this.#isWithin || this.#isRefilled || this.#flooded(isBehind);
  }

  /** As `spend`, for what is read in pieces of any size, of which it shows later what had been asked for. */
  spendRead(bytes: number, ms: number, isBehind: boolean): boolean {
    if (this.#flood !== undefined) return this.#isCalm(this.#flood, isBehind);
    const cost = this.#weighed(ms);
    this.#bytes -= bytes;
    this.#ms -= cost;
    this.#readBytes += bytes;
    this.#readMs += cost;
    if (!this.#isWithin) this.#refundRead();
    if (this.#isWithin || this.#isRefilled) {
      this.#overBytes = 0;
      return true;
    }
    this.#overBytes += bytes;
    return this.#overBytes < this.#asking.inFlight * BURST.bytes || this.#flooded(isBehind);
  }

  get #isWithin(): boolean {
    // A line that goes on can be no answer where none is to come.
    const ms = this.#asking.inFlight === 0 ? this.#ms - this.#heldMs : this.#ms;
    return this.#lines >= 0 && this.#bytes >= 0 && ms >= 0;
  }

  /** A line of so many bytes was asked for, as an answer is: it is held against nobody. */
  refund(bytes: number): void {
    this.#lines += 1;
    this.#bytes += bytes;
    this.#asked += 1;
  }

  /** Each millisecond is one that all others wait: many that say much have together what one has alone. */
  #weighed(ms: number): number {
    const now = performance.now();
    if (now - windowAt >= WINDOW_MS) {
      busyBefore = now - windowAt < 2 * WINDOW_MS ? busy : 0;
      busy = 0;
      windowAt = now;
    }
    if (this.#windowAt !== windowAt) this.#windowMs = 0;
    this.#windowAt = windowAt;
    const before = this.#windowMs;
    this.#windowMs += ms;
    if (before < MUCH_MS && this.#windowMs >= MUCH_MS) busy += 1;
    return ms * Math.max(1, busy, busyBefore);
  }

  /** What time has given back is enough. */
  get #isRefilled(): boolean {
    const now = performance.now();
    const seconds = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    this.#lines = Math.min(BURST.lines, this.#lines + seconds * A_SECOND.lines);
    this.#bytes = Math.min(BURST.bytes, this.#bytes + seconds * A_SECOND.bytes);
    this.#ms = Math.min(BURST.ms, this.#ms + seconds * A_SECOND.ms);
    return this.#isWithin;
  }

  #flooded(isBehind: boolean): false {
    const now = performance.now();
    this.#flood = { since: now, windowAt: now, isBehind, isTold: false };
    return false;
  }

  /** The time that it took is taken to lie in all bytes alike. */
  #refundRead(): void {
    const { answeredBytes } = this.#asking;
    const asked = Math.min(answeredBytes - this.#refundedBytes, this.#readBytes);
    if (asked <= 0) return;
    this.#refundedBytes = answeredBytes;
    this.#bytes += asked;
    this.#ms += (this.#readMs * asked) / this.#readBytes;
    this.#readBytes = this.#readMs = 0;
  }

  #unaskedMs(lines: number, ms: number): number {
    this.#heldMs += ms;
    if (lines === 0) return 0;
    const unasked = this.#heldMs * Math.max(0, 1 - this.#asked / lines);
    this.#heldMs = this.#asked = 0;
    return unasked;
  }

  #isCalm(flood: Flood, isBehind: boolean): boolean {
    flood.isBehind ||= isBehind;
    const now = performance.now();
    if (now - flood.windowAt < CALM_MS) return false;
    if (!flood.isBehind) {
      this.#flood = undefined;
      this.#lines = A_SECOND.lines;
      this.#bytes = A_SECOND.bytes;
      this.#ms = A_SECOND.ms;
      this.#refilledAt = now;
      this.#readBytes = this.#readMs = this.#overBytes = 0;
      this.#refundedBytes = this.#asking.answeredBytes;
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
