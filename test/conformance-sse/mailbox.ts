interface Waiter<T> {
  matches: (item: T) => boolean;
  found: (item: T) => void;
  fail: (error: Error) => void;
}

/** What arrived, in order, for those who wait for a part of it. */
export class Mailbox<T> {
  readonly items: T[] = [];
  readonly #waiters = new Set<Waiter<T>>();
  readonly #readers: { take: (item: T) => void; ended: (why: string) => void }[] = [];
  #ended: string | undefined;

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  push(item: T): void {
    this.items.push(item);
    for (const { take } of this.#readers) take(item);
    for (const waiter of this.#waiters) {
      if (!waiter.matches(item)) continue;
      this.#waiters.delete(waiter);
      waiter.found(item);
    }
  }

  /** Nothing more will come: those who wait are told why. */
  end(why: string): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    for (const waiter of this.#waiters) waiter.fail(new Error(why));
    this.#waiters.clear();
    for (const { ended } of this.#readers) ended(why);
  }

  /** Hands over every item, past and coming, and the reason of the end. */
  each(take: (item: T) => void, ended: (why: string) => void): void {
    this.#readers.push({ take, ended });
    for (const item of this.items) take(item);
    if (this.#ended !== undefined) ended(this.#ended);
  }

  /** Resolves with the first item, past or coming, that `matches`; rejects with `what` when none came in time. */
  async first(matches: (item: T) => boolean, what: string, timeoutMs: number): Promise<T> {
    const past = this.items.find((item) => matches(item));
    if (past !== undefined) return past;
    if (this.#ended !== undefined) throw new Error(`no ${what}: ${this.#ended}`);
    return await new Promise((found, reject) => {
      const fail = (error: Error) => {
        clearTimeout(timer);
        reject(new Error(`no ${what}: ${error.message}`));
      };
      const waiter: Waiter<T> = {
        matches,
        found: (item) => {
          clearTimeout(timer);
          found(item);
        },
        fail,
      };
      const timer = setTimeout(() => {
        this.#waiters.delete(waiter);
        fail(new Error(`waited ${timeoutMs} ms in vain`));
      }, timeoutMs);
      this.#waiters.add(waiter);
    });
  }
}
