/** A body that moves on has until then to be whole or fast enough; one that stands still for long enough is over. */
const GRACE_MS = 20_000;
const STILL_MS = 15_000;
/** The slowest a body may come after the grace, on average. A modem is faster. */
const SLOWEST_BYTES_PER_S = 1024;

/** A body on its way in. Whoever reads it adds to `received`. */
export class IncomingBody {
  received = 0;
  readonly late: () => void;
  #ageMs = 0;
  #stillMs = 0;
  #seen = 0;

  /** `late` is called when the body is too slow, and again as long as it is watched. */
  constructor(late: () => void) {
    this.late = late;
  }

  /** So much time has passed since the last call. */
  passed(ms: number): void {
    this.#ageMs += ms;
    this.#stillMs = this.received === this.#seen ? this.#stillMs + ms : 0;
    this.#seen = this.received;
    const isStill = this.#stillMs >= STILL_MS;
    const isSlow =
      this.#ageMs >= GRACE_MS && this.received < (this.#ageMs / 1000) * SLOWEST_BYTES_PER_S;
    if (isStill || isSlow) this.late();
  }
}
