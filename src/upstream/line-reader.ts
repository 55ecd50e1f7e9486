import type { SupervisorError } from "../errors.ts";
import { CR } from "../mcp/bytes.ts";
import type { LineSink } from "../net/line-intake.ts";

export interface WholeLines {
  line(bytes: Buffer): void;
  /** A line was longer than the limit; its bytes are dropped up to its end. */
  overlong(): void;
  /** See LineSink. */
  broke(failure: SupervisorError): void;
}

/** Puts the lines of a stdio child together, of which none is held beyond `maxBytes`. */
export class LineReader implements LineSink {
  readonly #lines: WholeLines;
  readonly #maxBytes: number;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isDropping = false;

  constructor(lines: WholeLines, maxBytes: number) {
    this.#lines = lines;
    this.#maxBytes = maxBytes;
  }

  piece(bytes: Buffer): void {
    if (this.#isDropping) return;
    this.#heldBytes += bytes.length;
    if (this.#heldBytes <= this.#maxBytes) {
      this.#held.push(bytes);
      return;
    }
    this.#isDropping = true;
    this.#held = [];
    this.#lines.overlong();
  }

  end(): void {
    const whole = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    const isDropped = this.#isDropping;
    this.#held = [];
    this.#heldBytes = 0;
    this.#isDropping = false;
    if (isDropped) return;
    const line = whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
    if (line.length > 0) this.#lines.line(line);
  }

  broke(failure: SupervisorError): void {
    this.#lines.broke(failure);
  }
}
