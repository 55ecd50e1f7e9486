/**
 * Lets the calls of one holder at a time run.
 *
 * A server that asks back (sampling, elicitation) over stdio does not say on behalf of which call,
 * so two sessions with calls in flight could get each other's questions. A holder that has calls
 * running may add more at once: a client that answers a question may need the server for it, and
 * would wait for itself.
 */
export class Turns<Holder> {
  #holder: Holder | undefined;
  #running = 0;
  #waiting: { readonly holder: Holder; readonly id: string; readonly run: () => void }[] = [];

  /** Whose turn it is, while calls of it run. */
  get holder(): Holder | undefined {
    return this.#running === 0 ? undefined : this.#holder;
  }

  /** Runs now or when the holder's turn comes; `leave` is owed for every run that was started. */
  enter(holder: Holder, id: string, run: () => void): void {
    if (this.#running === 0 || this.#holder === holder) this.#start(holder, run);
    else this.#waiting.push({ holder, id, run });
  }

  leave(): void {
    this.#running -= 1;
    if (this.#running > 0) return;
    const next = this.#waiting[0]?.holder;
    if (next === undefined) return;
    const theirs = this.#waiting.filter(({ holder }) => holder === next);
    this.#waiting = this.#waiting.filter(({ holder }) => holder !== next);
    for (const { holder, run } of theirs) this.#start(holder, run);
  }

  /** Forgets what the holder waits for: the one call of that id, or all. */
  withdraw(holder: Holder, id?: string): void {
    this.#waiting = this.#waiting.filter(
      (entry) => entry.holder !== holder || (id !== undefined && entry.id !== id),
    );
  }

  #start(holder: Holder, run: () => void): void {
    this.#holder = holder;
    this.#running += 1;
    run();
  }
}
