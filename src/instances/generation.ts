import { setTimeout as delay } from "node:timers/promises";
import { WELL_AFTER_MS } from "./restart-policy.ts";
import type { Ended, Live, Ref } from "./instance-types.ts";
import type { StdioTarget, Target } from "../links/target.ts";
import type { Usage } from "./usage.ts";
import type { Running } from "../engines/process/runner.ts";

/** How long the end of a child may take that is on its way out, on a loaded machine too. */
const MAX_ENDING_MS = 100;

export interface GenerationInput {
  ref: Ref;
  number: number;
  target: Target;
  /** Null for a remote. */
  running: Running | null;
  port: number | null;
  usage: Usage;
}

const linkOf = (target: StdioTarget) => (target.era === "modern" ? target.hub : target.shared);

/** One generation from the moment it is ready: what callers are handed, and how it did. */
export class Generation {
  readonly live: Live;
  /** The same for every caller of `ensure`, which is asked once a message. */
  readonly answer: Promise<Live>;
  readonly running: Running | null;
  readonly port: number | null;
  readonly readyAt = performance.now();
  /** It was asked to end. */
  isDraining = false;
  readonly #usage: Usage;
  readonly #answeredBefore: number;
  #finish!: (ended: Ended) => void;
  #hasFinished = false;

  constructor({ ref, number, target, running, port, usage }: GenerationInput) {
    const exited = new Promise<Ended>((resolve) => (this.#finish = resolve));
    const ending = () => this.#ending();
    this.live = { ref, generation: number, target, pid: running?.pid ?? null, exited, ending };
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

  /** Nothing that it is told from now on is answered: its end is known, or has to follow. */
  get isSpent(): boolean {
    return this.running?.isSpent ?? false;
  }

  /** Tells everybody, once, that it has ended. */
  finish(ended: Ended): void {
    this.#hasFinished = true;
    this.#finish(ended);
    const { target } = this.live;
    if (target.transport === "stdio") linkOf(target).end();
  }

  /** See `Live.ending`. */
  async #ending(): Promise<Ended | undefined> {
    const isOver = this.isDraining || ((await this.running?.isEnding(this.port)) ?? false);
    if (!isOver && !this.#hasFinished) return undefined;
    const timer = new AbortController();
    const late = delay(MAX_ENDING_MS, undefined, { signal: timer.signal }).catch(() => undefined);
    const ended = await Promise.race([this.live.exited, late]);
    timer.abort();
    return ended;
  }
}
