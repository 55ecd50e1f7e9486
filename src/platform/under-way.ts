/**
 * What is under way, most of which ends soon after it has begun.
 *
 * In place of a Set: one that changes with every request leaves its old tables behind, and these keep
 * alive what stood in them until the next full collection (as measured: two of them doubled the time
 * for garbage). The end of an array is looked through first, so what ends soon is found at once.
 */
export class UnderWay<T> implements Iterable<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    this.#items.push(item);
  }

  delete(item: T): void {
    const index = this.#items.lastIndexOf(item);
    if (index === this.#items.length - 1) this.#items.pop();
    else if (index !== -1) this.#items.splice(index, 1);
  }

  sum(valueOf: (item: T) => number): number {
    let sum = 0;
    for (let i = 0; i < this.#items.length; i++) sum += valueOf(this.#items[i]!);
    return sum;
  }

  /** In the order in which they began; what ends meanwhile may be left out. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#items].values();
  }
}
