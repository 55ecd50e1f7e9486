import type { Readable } from "node:stream";
import { guarded } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import type { OutputShare } from "./output-share.ts";
import { inNextTurn, inSlowTurn, mayRead, spendTurn } from "./turns.ts";

const LF = 0x0a;
/** The most of one turn of the event loop, beside its time: what lines cost is not in their length or number alone. */
const LINES_A_TURN = 64;
/** Node reads so much at once; less means that nothing more is there. */
const FULL_READ_BYTES = 64 * 1024;
const FULL_READS_A_TURN = 4;
/** Of a child that floods, and then it is another one's turn. */
const LINES_A_SLOW_TURN = 32;
/** Of what is left when the stream is over: last words, and not the rest of a flood. */
const LAST_LINES = 8192;

/** Is given the lines of a stream, without their ends. */
export interface LineSink {
  /** A piece of the line that is read now; never empty. */
  push(bytes: Buffer): void;
  /** That line is over. */
  end(): void;
}

export interface LineIntakeOptions {
  readonly stream: Readable;
  readonly sink: LineSink;
  readonly share: OutputShare;
  /** Something of ours threw over a line, which may be half way through: nothing more is read, and the child has to end. */
  readonly onBroken: (failure: SupervisorError) => void;
}

/**
 * Reads the lines of a child's output, a share in each turn of the event loop: what is left waits for
 * the next turn, and behind it the child. Within a share it is read as fast as it comes.
 */
export class LineIntake {
  readonly #stream: Readable;
  readonly #sink: LineSink;
  readonly #share: OutputShare;
  #chunk: Buffer | undefined;
  #at = 0;
  /** Of this turn. */
  #lines = 0;
  #fullReads = 0;
  #isWaiting = false;
  #isHeld = false;
  readonly #next: (mostLines: number) => void;

  constructor({ stream, sink, share, onBroken }: LineIntakeOptions) {
    this.#stream = stream;
    this.#sink = sink;
    this.#share = share;
    const broke = (failure: SupervisorError): void => {
      this.#chunk = undefined;
      this.pause();
      onBroken(failure);
    };
    this.#next = guarded("child", broke, (mostLines) => this.#goOn(mostLines));
    stream.on(
      "data",
      guarded("child", broke, (chunk: Buffer) => this.#onData(chunk)),
    );
    // A socket that has been read to its end closes, paused or not.
    stream.on(
      "close",
      guarded("child", broke, () => this.#finish()),
    );
  }

  /** Reads nothing more, until `resume`. */
  pause(): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#wait(true);
  }

  #onData(chunk: Buffer): void {
    this.#chunk = chunk;
    this.#at = 0;
    if (mayRead(chunk.length)) return this.#go(LINES_A_TURN);
    this.#stream.pause();
    this.#wait(!this.#share.isFlooding);
  }

  #go(mostLines: number): void {
    const chunk = this.#chunk!;
    const from = this.#at;
    const before = this.#lines;
    const begun = performance.now();
    let now = begun;
    let hasTime = true;
    while (hasTime && this.#at < chunk.length && this.#lines < mostLines && !this.#isHeld) {
      this.#step(chunk);
      const stepped = performance.now();
      spendTurn(stepped - now);
      now = stepped;
      hasTime = mayRead(chunk.length);
    }
    const hasMore = this.#at < chunk.length;
    const isFull = chunk.length >= FULL_READ_BYTES;
    const lines = this.#lines - before;
    const spent = { lines, bytes: this.#at - from, ms: now - begun };
    const isFast = this.#share.spend(spent, hasMore || isFull);
    // A turn that took its time is over, whatever is left of it.
    if (!hasTime) this.#fullReads = FULL_READS_A_TURN;
    if (!hasMore) {
      this.#chunk = undefined;
      this.#fullReads += 1;
      // With this read the stream is empty: the next one comes in another turn.
      if (!isFull) this.#fullReads = this.#lines = 0;
      if (isFast && this.#fullReads < FULL_READS_A_TURN) return this.#flow();
    }
    this.#stream.pause();
    this.#wait(isFast);
  }

  #step(chunk: Buffer): void {
    const from = this.#at;
    const lf = chunk.indexOf(LF, from);
    const end = lf === -1 ? chunk.length : lf;
    this.#at = lf === -1 ? end : end + 1;
    if (end > from) this.#sink.push(chunk.subarray(from, end));
    if (lf === -1) return;
    this.#lines += 1;
    this.#sink.end();
  }

  #wait(isFast: boolean): void {
    if (this.#isWaiting || this.#isHeld) return;
    this.#isWaiting = true;
    if (isFast) inNextTurn(() => this.#next(LINES_A_TURN));
    else inSlowTurn(() => this.#next(LINES_A_SLOW_TURN));
  }

  #goOn(mostLines: number): void {
    this.#isWaiting = false;
    this.#fullReads = this.#lines = 0;
    if (this.#isHeld || this.#stream.destroyed) return;
    if (this.#chunk === undefined) this.#flow();
    else this.#go(mostLines);
  }

  #finish(): void {
    const chunk = this.#chunk;
    this.#chunk = undefined;
    this.#lines = 0;
    if (chunk === undefined) return;
    while (this.#at < chunk.length && this.#lines < LAST_LINES) this.#step(chunk);
  }

  #flow(): void {
    if (!this.#isHeld && this.#stream.isPaused()) this.#stream.resume();
  }
}
