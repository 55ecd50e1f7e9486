/** Keeps what was set last, as much as its bound of bytes has room for. */
export class LruCache<Value extends { readonly bytes: number }> {
  readonly #maxBytes: number;
  /** The one that was set last is the last. */
  readonly #values = new Map<string, Value>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(name: string): Value | undefined {
    return this.#values.get(name);
  }

  keys(): Iterable<string> {
    return this.#values.keys();
  }

  /** The same one again counts as used just now. */
  set(name: string, value: Value): void {
    this.delete(name);
    this.#values.set(name, value);
    this.#bytes += value.bytes;
    for (const oldest of this.#values.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.delete(oldest);
    }
  }

  delete(name: string): void {
    this.#bytes -= this.#values.get(name)?.bytes ?? 0;
    this.#values.delete(name);
  }
}
