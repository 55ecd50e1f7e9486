import { RestartPolicy } from "./restart-policy.ts";

/**
 * A generation that is to take over from the one that serves: tried until it has, with the waits of
 * the restart policy, or until nobody wants it any more. What it fails at is held against no other.
 */
export class Succession {
  /** Why the one that serves is to be replaced: `restarted for a new token`. */
  readonly reason: string;
  readonly #policy = new RestartPolicy();
  #failure: string | undefined;
  #waiting = new AbortController();
  #isOver = false;

  constructor(reason: string) {
    this.reason = reason;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Why the last try failed, as a predicate of the one that serves, and when (`performance.now()`) the next is due. */
  get failure(): { reason: string; retryAt: number } | undefined {
    if (this.#failure === undefined) return undefined;
    const reason = `could not be replaced: ${this.#failure}`;
    return { reason, retryAt: this.#policy.retryAt };
  }

  /** How many tries failed in a row. */
  get failures(): number {
    return this.#policy.failures;
  }

  /** A try came to nothing; `what` says why: `the next one exited with code 1 before it was ready`. */
  failed(what: string): void {
    this.#failure = what;
    this.#policy.failed(what);
  }

  /** Resolves when the next try is due; rejects once it is over. */
  async wait(): Promise<void> {
    this.#waiting = new AbortController();
    const { signal } = this.#waiting;
    // Forgiven, it need not wait; nor is it tried where it ended in the same moment.
    await this.#policy.wait(signal).catch(() => {});
    if (this.#isOver) throw new Error("the succession is over");
  }

  /** Somebody has seen to it: the next try is due now. */
  forgive(): void {
    this.#policy.clear();
    this.#waiting.abort();
  }

  /** It has taken over, or is not to any more. */
  end(): void {
    this.#isOver = true;
    this.#waiting.abort();
  }
}
