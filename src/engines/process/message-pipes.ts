import { setTimeout as delay } from "node:timers/promises";
import type { Duplex, Readable } from "node:stream";
import type { PipeName } from "../engine.ts";

/** A child that ends closes its pipes before its exit is known; so much later it is, on a loaded machine too. */
const EXIT_GRACE_MS = 100;

/** The two pipes that a child's messages go through. */
export class MessagePipes {
  readonly #stdin: Duplex;
  readonly #stdout: Readable;

  /**
   * Of the child's input the end is read, too: where the child ended before it had read all that it
   * was told, that is ECONNRESET. What a child writes there goes to nobody.
   */
  constructor(stdin: Duplex, stdout: Readable) {
    this.#stdin = stdin;
    this.#stdout = stdout;
    stdin.once("data", () => stdin.pause());
  }

  /** The one that is closed, as far as that was noticed: at the end of what it wrote, or after a write that failed. */
  get closed(): PipeName | undefined {
    if (this.#stdout.readableEnded || this.#stdout.destroyed) return "output";
    return this.#stdin.writable ? undefined : "input";
  }

  /** Calls back, once or more, when one of them is closed. */
  onClosed(tell: () => void): void {
    this.#stdout.once("end", tell).once("close", tell);
    this.#stdin.once("close", tell);
  }

  /** Resolves with the one that the child has closed though it lives on; never, if it ends. */
  disconnected(exited: Promise<unknown>): Promise<PipeName> {
    return new Promise((resolve) => {
      const look = async (): Promise<void> => {
        const lives = await Promise.race([exited.then(() => false), delay(EXIT_GRACE_MS, true)]);
        if (lives) resolve(this.closed ?? "output");
      };
      this.#stdout.once("end", () => void look());
      this.#stdin.once("close", () => void look());
    });
  }
}
