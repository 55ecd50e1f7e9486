/** How many calls of one provider are under way at once, and how far apart they begin. */
const AT_ONCE = 4;
const APART_MS = 50;

/** Whose turn it is to call a provider: that of a message that waits before that of the plan. */
export class Turns {
  readonly #urgent: (() => void)[] = [];
  readonly #planned: (() => void)[] = [];
  #underWay = 0;
  #isResting = false;

  /** Resolves with what gives the turn back. Rejects with the signal's reason. */
  async take(isUrgent: boolean, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const queue = isUrgent ? this.#urgent : this.#planned;
    await new Promise<void>((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = (): void => {
        queue.splice(queue.indexOf(begin), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener("abort", leave, { once: true });
      queue.push(begin);
      this.#next();
    });
    return () => {
      this.#underWay -= 1;
      this.#next();
    };
  }

  #next(): void {
    if (this.#isResting || this.#underWay >= AT_ONCE) return;
    const begin = this.#urgent.shift() ?? this.#planned.shift();
    if (begin === undefined) return;
    this.#underWay += 1;
    this.#isResting = true;
    setTimeout(() => {
      this.#isResting = false;
      this.#next();
    }, APART_MS);
    begin();
  }
}
