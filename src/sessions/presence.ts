/** Whether a session's client is there: it has a stream or a request open. */
export class Presence {
  readonly #windowMs: number;
  readonly #onGone: () => void;
  #open = 0;
  /** `performance.now()`, while nothing is open. */
  #leftAt = performance.now();
  #timer: NodeJS.Timeout | undefined;

  /** `onGone` is called where something waits for a client that has had nothing open for `windowMs`. */
  constructor(windowMs: number, onGone: () => void) {
    this.#windowMs = windowMs;
    this.#onGone = onGone;
  }

  /** It has something open. */
  get isHere(): boolean {
    return this.#open > 0;
  }

  came(): void {
    this.#open += 1;
    this.#forget();
  }

  left(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#leftAt = performance.now();
  }

  /** Something waits for the client. Without that no timer runs: nearly all requests leave nothing behind. */
  await(): void {
    if (this.#open > 0 || this.#timer !== undefined) return;
    const inMs = Math.max(0, this.#leftAt + this.#windowMs - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#onGone();
    }, inMs).unref();
  }

  close(): void {
    this.#forget();
  }

  #forget(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
