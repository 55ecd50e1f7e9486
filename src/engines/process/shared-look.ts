/**
 * A look at the whole machine, shared by all who ask for one at the same time: three hundred children
 * that end together cost two, and none of them is told what was true before it asked.
 */
export class SharedLook<T> {
  readonly #look: () => Promise<T>;
  #current: Promise<T> | undefined;
  #following: Promise<T> | undefined;

  constructor(look: () => Promise<T>) {
    this.#look = look;
  }

  /** What is so from now on: calls that arrive during a look share the next one. Rejects as the look does. */
  read(): Promise<T> {
    if (!this.#current) {
      this.#current = this.#look().finally(() => {
        this.#current = undefined;
      });
      return this.#current;
    }
    this.#following ??= this.#afterCurrent(this.#current);
    return this.#following;
  }

  /** A look under way is good enough. */
  glance(): Promise<T> {
    return this.#current ?? this.read();
  }

  async #afterCurrent(running: Promise<T>): Promise<T> {
    // Its failure is told to those who asked for it.
    await running.catch(() => {});
    this.#following = undefined;
    return await this.read();
  }
}
