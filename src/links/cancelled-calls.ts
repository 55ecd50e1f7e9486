interface CancelledCall<Session> {
  /** Undefined for one that has left: nobody can be asked in its place. */
  session: Session | undefined;
  readonly hasTurn: boolean;
  /** `performance.now()`. */
  readonly dueAt: number;
}

/**
 * Calls that were cancelled and that the child may still be at work on: what it asks meanwhile is
 * theirs. It need not answer them (MCP, cancellation), so each counts until it does, or until
 * `windowMs` is over.
 */
export class CancelledCalls<Session> {
  readonly #windowMs: number;
  readonly #onOver: (hadTurn: boolean) => void;
  /** In the order in which they are due, because all have the same window. */
  readonly #calls = new Map<number, CancelledCall<Session>>();
  #timer: NodeJS.Timeout | undefined;

  constructor(windowMs: number, onOver: (hadTurn: boolean) => void) {
    this.#windowMs = windowMs;
    this.#onOver = onOver;
  }

  add(id: number, session: Session | undefined, hasTurn: boolean): void {
    this.#calls.set(id, { session, hasTurn, dueAt: performance.now() + this.#windowMs });
    this.#plan();
  }

  /** The child has answered it; does nothing for what is no cancelled call. */
  answered(id: number): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    this.#onOver(call.hasTurn);
  }

  /** Whose they are, undefined for one that has left. */
  *sessions(): Iterable<Session | undefined> {
    for (const { session } of this.#calls.values()) yield session;
  }

  left(session: Session): void {
    for (const call of this.#calls.values()) if (call.session === session) call.session = undefined;
  }

  /** The child has ended, and with it all it was at work on. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#calls.clear();
  }

  /** One timer for all of them. */
  #plan(): void {
    const [first] = this.#calls.values();
    if (this.#timer !== undefined || first === undefined) return;
    const inMs = Math.max(0, Math.ceil(first.dueAt - performance.now()));
    this.#timer = setTimeout(() => this.#look(), inMs).unref();
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const [id, { dueAt }] of this.#calls) {
      if (dueAt > now) break;
      this.answered(id);
    }
    this.#plan();
  }
}
