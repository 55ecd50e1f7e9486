import { unawaited } from "../containment.ts";
import { toSupervisorError } from "../errors.ts";

/** How long it waits after each try that failed, where the failure names no time; after the last it gives up. */
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000];

interface Owner {
  /** Rejects with what keeps the session from the next generation. */
  open(): Promise<void>;
}

/** Brings a session to the next generation without a message of its client, which may only be listening. */
export class ComeBack {
  readonly #session: Owner;
  #tries = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(session: Owner) {
    this.#session = session;
  }

  now(): void {
    this.#tries = 0;
    this.#try();
  }

  cancel(): void {
    clearTimeout(this.#timer);
    this.#tries = WAITS_MS.length;
  }

  #try(): void {
    clearTimeout(this.#timer);
    unawaited("session", () => {}, this.#tryOnce());
  }

  async #tryOnce(): Promise<void> {
    try {
      await this.#session.open();
    } catch (error) {
      const { retryAfterSeconds, code } = toSupervisorError(error);
      // The session is over, or the daemon is about to be.
      if (code === "SESSION_NOT_FOUND" || code === "SESSION_LOST" || code === "STOPPING") return;
      const wait =
        retryAfterSeconds === undefined ? WAITS_MS[this.#tries] : retryAfterSeconds * 1000;
      if (this.#tries++ >= WAITS_MS.length || wait === undefined) return;
      this.#timer = setTimeout(() => this.#try(), wait).unref();
    }
  }
}
