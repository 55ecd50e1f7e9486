import { Readable } from "node:stream";

const LF = 0x0a;

/**
 * What a child writes to its pipe, once, whatever breaks in between. It is acknowledged by whole messages,
 * when whoever reads it has taken them: the shim keeps the rest, for the next daemon if need be.
 */
export class TakenOutput {
  readonly stream: Readable;
  readonly #acknowledge: (offset: number) => void;
  /** Of the next byte that comes, and of the next one that is new. */
  #at = 0;
  #end = 0;
  /** Offsets after whole messages, the earliest first. */
  #whole: number[] = [];
  #isClosed = false;

  constructor(acknowledge: (offset: number) => void) {
    this.#acknowledge = acknowledge;
    this.stream = new Readable({ read: () => setImmediate(() => this.#look()) });
  }

  /** A connection begins, on which the child's output comes from there on. */
  goOnFrom(offset: number): void {
    this.#at = offset;
    this.#end = Math.max(this.#end, offset);
  }

  push(payload: Buffer): void {
    const known = Math.max(0, this.#end - this.#at);
    this.#at += payload.length;
    if (known >= payload.length || this.#isClosed) return;
    const news = payload.subarray(known);
    const last = news.lastIndexOf(LF);
    if (last !== -1) this.#whole.push(this.#end + last + 1);
    this.#end += news.length;
    this.stream.push(news);
    this.#look();
  }

  /** Nothing more comes. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.stream.push(null);
  }

  #look(): void {
    const taken = this.#end - this.stream.readableLength;
    const count = this.#whole.findLastIndex((offset) => offset <= taken) + 1;
    if (count === 0) return;
    this.#acknowledge(this.#whole[count - 1]!);
    this.#whole = this.#whole.slice(count);
  }
}
