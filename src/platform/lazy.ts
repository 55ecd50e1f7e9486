/**
 * A Set that takes next to nothing before something is put into it: an empty Set takes 152 bytes, a Map
 * 184, and a session has twenty, of which nearly all stay empty for good.
 */
export class LazySet<T> implements Iterable<T> {
  #made: Set<T> | undefined;

  get size(): number {
    return this.#made?.size ?? 0;
  }

  has(value: T): boolean {
    return this.#made !== undefined && this.#made.has(value);
  }

  add(value: T): void {
    (this.#made ??= new Set()).add(value);
  }

  delete(value: T): boolean {
    return this.#made !== undefined && this.#made.delete(value);
  }

  clear(): void {
    this.#made = undefined;
  }

  [Symbol.iterator](): Iterator<T> {
    return (this.#made ?? NONE)[Symbol.iterator]();
  }
}

/** As `LazySet`, a Map. */
export class LazyMap<K, V> implements Iterable<[K, V]> {
  #made: Map<K, V> | undefined;

  get size(): number {
    return this.#made?.size ?? 0;
  }

  has(key: K): boolean {
    return this.#made !== undefined && this.#made.has(key);
  }

  get(key: K): V | undefined {
    return this.#made?.get(key);
  }

  set(key: K, value: V): void {
    (this.#made ??= new Map()).set(key, value);
  }

  delete(key: K): boolean {
    return this.#made !== undefined && this.#made.delete(key);
  }

  clear(): void {
    this.#made = undefined;
  }

  keys(): Iterable<K> {
    return this.#made?.keys() ?? NONE;
  }

  values(): Iterable<V> {
    return this.#made?.values() ?? NONE;
  }

  [Symbol.iterator](): Iterator<[K, V]> {
    return (this.#made ?? (NONE as Iterable<[K, V]>))[Symbol.iterator]();
  }
}

const NONE: readonly never[] = [];
