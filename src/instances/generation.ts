import { WELL_AFTER_MS } from "./restart-policy.ts";
import type { Ended, Live, Ref, Target } from "./instance-types.ts";
import type { Usage } from "./usage.ts";
import type { Running } from "../engines/process/runner.ts";

export interface GenerationInput {
  ref: Ref;
  number: number;
  target: Target;
  /** Null for a remote. */
  running: Running | null;
  port: number | null;
  usage: Usage;
}

/** One generation from the moment it is ready: what callers are handed, and how it did. */
export class Generation {
  readonly live: Live;
  /** The same for every caller of `ensure`, which is asked once a message. */
  readonly answer: Promise<Live>;
  readonly running: Running | null;
  readonly port: number | null;
  readonly readyAt = performance.now();
  readonly #usage: Usage;
  readonly #answeredBefore: number;
  #finish!: (ended: Ended) => void;

  constructor({ ref, number, target, running, port, usage }: GenerationInput) {
    const exited = new Promise<Ended>((resolve) => (this.#finish = resolve));
    this.live = { ref, generation: number, target, pid: running?.pid ?? null, exited };
    this.answer = Promise.resolve(this.live);
    this.running = running;
    this.port = port;
    this.#usage = usage;
    this.#answeredBefore = usage.answered;
  }

  /** It lived for a while, or was of use. */
  get wasWell(): boolean {
    return (
      performance.now() - this.readyAt >= WELL_AFTER_MS ||
      this.#usage.answered > this.#answeredBefore
    );
  }

  finish(ended: Ended): void {
    this.#finish(ended);
  }
}
