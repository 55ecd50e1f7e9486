import { LongPeek, SMALL_BODY_BYTES, peek } from "../mcp/client-body.ts";
import type { Peek } from "../mcp/client-body.ts";

interface Reading {
  readonly peeking: LongPeek;
  readonly done: (seen: Peek) => void;
}

/**
 * Reads what clients post. Large bodies are read in slices, one slice of one body in each turn of the
 * event loop, so that nobody waits for them but those who post to the same session after them: what
 * a client says in order is handed on in that order.
 */
export class BodyReader {
  readonly #last = new Map<string, Promise<Peek>>();
  readonly #readings: Reading[] = [];

  /** `session` is the session's id, if there is one, with its user's name. Nearly every body is read at once, without a promise. */
  read(body: Buffer, session: string | undefined): Peek | Promise<Peek> {
    const before = session === undefined ? undefined : this.#last.get(session);
    if (before === undefined && body.length <= SMALL_BODY_BYTES) return peek(body);
    const reading = this.#after(before, body);
    if (session === undefined) return reading;
    this.#last.set(session, reading);
    void reading.then(() => {
      if (this.#last.get(session) === reading) this.#last.delete(session);
    });
    return reading;
  }

  async #after(before: Promise<Peek> | undefined, body: Buffer): Promise<Peek> {
    const seen = await new Promise<Peek>((done) => {
      this.#readings.push({ peeking: new LongPeek(body), done });
      if (this.#readings.length === 1) setImmediate(() => this.#turn());
    });
    await before;
    return seen;
  }

  #turn(): void {
    const reading = this.#readings.shift()!;
    const seen = reading.peeking.advance();
    if (seen === undefined) this.#readings.push(reading);
    else reading.done(seen);
    if (this.#readings.length > 0) setImmediate(() => this.#turn());
  }
}
