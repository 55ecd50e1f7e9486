import type { OutputShare } from "../../platform/output-share.ts";
import { inNextTurn, inSlowTurn, mayRead, spendTurn } from "../../platform/turns.ts";

/** Bytes are handed on in slices: what they cost is in the events that they hold, not in their number. */
const FIRST_SLICE = 8 * 1024;
const MIN_SLICE = 256;
const MAX_SLICE = 64 * 1024;
/** One that took longer, or not half as long, has the next one half as long or twice. */
const SLICE_MS = 1;
/** What is handed on is written to somebody, at the end of the turn, which takes as long again. */
const HANDED_ON = 2;

interface Source {
  pause(): unknown;
  resume(): unknown;
  isPaused(): boolean;
}

export interface IntakeOptions {
  readonly socket: Source;
  /** Whose server it is: what is read counts against all that it may write. */
  readonly share: OutputShare;
  /** Node reads so much at once; less means that nothing more is there. */
  readonly fullReadBytes: number;
  /** Is given all bytes in order. Throws nothing. */
  readonly push: (bytes: Buffer) => void;
}

/**
 * Reads what a server sends on one connection, a share in each turn of the event loop that all servers
 * have together: what is left waits here for the next turn, and behind it the server.
 */
export class Intake {
  readonly #options: IntakeOptions;
  /** Read, and not handed on yet. */
  #held: Buffer | undefined;
  /** How much came at once. */
  #readBytes = 0;
  #sliceBytes = FIRST_SLICE;
  #isWaiting = false;
  /** For whoever is to have the bytes. */
  #isPaused = false;
  #isOver = false;
  #whenRead: (() => void)[] = [];

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** More is here already. */
  get hasMore(): boolean {
    return this.#held !== undefined;
  }

  read(chunk: Buffer): void {
    const { socket, share } = this.#options;
    const isFirst = this.#held === undefined;
    this.#held = isFirst ? chunk : Buffer.concat([this.#held!, chunk]);
    this.#readBytes = chunk.length;
    const isItsTurn = isFirst && !this.#isPaused && !share.isFlooding && mayRead(chunk.length);
    if (isItsTurn) this.#goOn();
    if (this.#held !== undefined || socket.isPaused()) this.#settle();
  }

  /** Hands nothing on until `resume`. */
  pause(): void {
    this.#isPaused = true;
    this.#options.socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#settle();
  }

  /** Calls back when all that was read so far has been handed on, at once where it has. */
  whenRead(act: () => void): void {
    if (this.#held === undefined) act();
    else this.#whenRead.push(act);
  }

  /** Nobody wants the rest. */
  drop(): void {
    this.#isOver = true;
    this.#held = undefined;
    this.#whenRead = [];
  }

  #goOn(): void {
    while (this.#held !== undefined && this.#step() && !this.#isPaused);
  }

  /** Hands one slice on; false where another one has to wait. */
  #step(): boolean {
    const { push, share, fullReadBytes } = this.#options;
    const held = this.#held!;
    const isWhole = held.length <= this.#sliceBytes;
    const slice = isWhole ? held : held.subarray(0, this.#sliceBytes);
    this.#held = isWhole ? undefined : held.subarray(slice.length);
    const begun = performance.now();
    push(slice);
    const ms = performance.now() - begun;
    if (ms > SLICE_MS) this.#sliceBytes = Math.max(MIN_SLICE, this.#sliceBytes / 2);
    else if (!isWhole && 2 * ms < SLICE_MS)
      this.#sliceBytes = Math.min(MAX_SLICE, 2 * this.#sliceBytes);
    const cost = HANDED_ON * ms;
    spendTurn(cost);
    const isBehind = !isWhole || this.#readBytes >= fullReadBytes;
    const isFast = share.spendRead(slice.length, cost, isBehind);
    return isFast && mayRead(this.#readBytes);
  }

  /** Where bytes are left they wait for a turn, and the server for them. */
  #settle(): void {
    if (this.#isOver) return;
    const { socket, share } = this.#options;
    if (this.#held === undefined) {
      for (const act of this.#whenRead.splice(0)) act();
      if (!this.#isPaused && socket.isPaused()) socket.resume();
      return;
    }
    socket.pause();
    if (this.#isWaiting || this.#isPaused) return;
    this.#isWaiting = true;
    if (share.isFlooding) inSlowTurn(() => this.#takeTurn(true));
    else inNextTurn(() => this.#takeTurn(false));
  }

  #takeTurn(isSlow: boolean): void {
    this.#isWaiting = false;
    if (this.#held === undefined || this.#isPaused) return;
    if (isSlow) this.#step();
    else this.#goOn();
    this.#settle();
  }
}
