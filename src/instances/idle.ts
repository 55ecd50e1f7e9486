import { durationText } from "../platform/durations.ts";
import type { Instance } from "./instance.ts";

/** A timer that fires a little early would find nothing due, again and again. */
const SHORTEST_MS = 20;

export interface IdleWatchOptions {
  instances: () => Iterable<Instance>;
  /** How long a child of this server may be of no use; undefined for one that stays. */
  timeoutOf: (server: string) => number | undefined;
  stop: (instance: Instance, reason: string) => void;
}

/**
 * Stops children that nobody has used for their server's `idleTimeout`.
 *
 * One timer for all of them, set for the first that may be due. Messages only make that later, so
 * they touch no timer.
 */
export class IdleWatch {
  readonly #options: IdleWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Infinity;

  constructor(options: IdleWatchOptions) {
    this.#options = options;
  }

  /** A child of this server has become ready. */
  watch(server: string): void {
    const timeoutMs = this.#options.timeoutOf(server);
    if (timeoutMs !== undefined) this.#plan(performance.now() + timeoutMs);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#dueAt = -Infinity;
  }

  #plan(at: number): void {
    if (at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    const inMs = Math.max(SHORTEST_MS, Math.ceil(at - performance.now()));
    this.#timer = setTimeout(() => this.#look(), inMs);
    this.#timer.unref();
  }

  #look(): void {
    this.#dueAt = Infinity;
    const now = performance.now();
    let next = Infinity;
    for (const instance of this.#options.instances()) {
      const timeoutMs = this.#options.timeoutOf(instance.ref.server);
      if (timeoutMs === undefined || instance.live === undefined) continue;
      // What is in use now cannot have been idle for so long before then.
      const dueAt = (instance.idleSince ?? now) + timeoutMs;
      if (dueAt <= now)
        this.#options.stop(instance, `stopped: idle for ${durationText(timeoutMs)}`);
      else next = Math.min(next, dueAt);
    }
    if (next < Infinity) this.#plan(next);
  }
}
