import { passed } from "../platform/abort.ts";

/** The calls that one generation has to answer. Whoever hands it a call counts it in, and out. */
export class Work {
  #inFlight = 0;
  readonly #hurry = new AbortController();
  #whenDone: (() => void)[] = [];

  get inFlight(): number {
    return this.#inFlight;
  }

  begin(): void {
    this.#inFlight++;
  }

  end(): void {
    this.#inFlight--;
    if (this.#inFlight === 0) for (const tell of this.#whenDone.splice(0)) tell();
  }

  /** Resolves when no call is under way, after that time, or when it has to hurry. */
  async done(withinMs: number): Promise<void> {
    if (this.#inFlight === 0) return;
    const answered = new Promise<void>((resolve) => this.#whenDone.push(resolve));
    const timer = new AbortController();
    const signal = AbortSignal.any([this.#hurry.signal, timer.signal]);
    await Promise.race([answered, passed(withinMs, signal).catch(() => {})]);
    timer.abort();
  }

  /** Nobody waits for its answers any more. */
  hurry(): void {
    this.#hurry.abort();
  }
}
