import { CR, LF } from "../mcp/bytes.ts";

export interface LineSink {
  line(bytes: Buffer): void;
  /** A line was longer than the limit; its bytes are dropped up to its end. */
  overlong(): void;
}

/** Cuts the output of a stdio child into lines, of which none is held beyond `maxBytes`. */
export class LineReader {
  readonly #sink: LineSink;
  readonly #maxBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isDropping = false;

  constructor(sink: LineSink, maxBytes: number) {
    this.#sink = sink;
    this.#maxBytes = maxBytes;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, from)) {
      this.#take(chunk.subarray(from, lf));
      this.#end();
      from = lf + 1;
    }
    if (from < chunk.length) this.#take(chunk.subarray(from));
  }

  #take(bytes: Buffer): void {
    if (this.#isDropping) return;
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= this.#maxBytes) {
      this.#held.push(bytes);
      return;
    }
    this.#isDropping = true;
    this.#held = [];
    this.#sink.overlong();
  }

  #end(): void {
    const whole = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    const isDropped = this.#isDropping;
    this.#held = [];
    this.#heldBytes = 0;
    this.#isDropping = false;
    if (isDropped) return;
    const line = whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
    if (line.length > 0) this.#sink.line(line);
  }
}
