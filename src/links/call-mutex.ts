import { guarded } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";

/**
 * Lets the calls of one holder at a time run.
 *
 * A server that asks back (sampling, elicitation) over stdio does not say on behalf of which call,
 * so two sessions with calls in flight could get each other's questions. A holder that has calls
 * running may add more at once: a client that answers a question may need the server for it, and
 * would wait for itself.
 */
export class CallMutex<Holder> {
  #holder: Holder | undefined;
  #running = 0;
  /** A turn is over, and the next one is about to begin. */
  #isPassing = false;
  readonly #pass: () => void;
  /** By holder, in the order in which they came, and by id: what is run when its turn comes. */
  readonly #waiting = new Map<Holder, Map<string, () => void>>();

  constructor(onBroken: (failure: SupervisorError) => void) {
    this.#pass = guarded("child", onBroken, () => this.#begin());
  }

  /** Whose turn it is, while calls of it run. */
  get holder(): Holder | undefined {
    return this.#running === 0 ? undefined : this.#holder;
  }

  /** Runs now or when the holder's turn comes; `leave` is owed for every run that was started. */
  enter(holder: Holder, id: string, run: () => void): void {
    const isFree = this.#running === 0 ? !this.#isPassing : this.#holder === holder;
    if (isFree) this.#start(holder, run);
    else {
      const theirs = this.#waiting.get(holder) ?? new Map<string, () => void>();
      this.#waiting.set(holder, theirs.set(id, run));
    }
  }

  /** What the server asks in one breath with its last answer comes in nobody's turn: the next one begins behind it. */
  leave(): void {
    this.#running -= 1;
    if (this.#running > 0 || this.#waiting.size === 0 || this.#isPassing) return;
    this.#isPassing = true;
    setImmediate(this.#pass);
  }

  #begin(): void {
    this.#isPassing = false;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [holder, theirs] = next;
    this.#waiting.delete(holder);
    for (const run of theirs.values()) this.#start(holder, run);
  }

  /** The ids of the calls that wait for the holder's turn. */
  waiting(holder: Holder): readonly string[] {
    return [...(this.#waiting.get(holder)?.keys() ?? [])];
  }

  /** Forgets what the holder waits for: the one call of that id, or all. */
  withdraw(holder: Holder, id?: string): void {
    const theirs = this.#waiting.get(holder);
    if (id !== undefined) theirs?.delete(id);
    if (id === undefined || theirs?.size === 0) this.#waiting.delete(holder);
  }

  #start(holder: Holder, run: () => void): void {
    this.#holder = holder;
    this.#running += 1;
    run();
  }
}
