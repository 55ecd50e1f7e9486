/** By what the apiserver knows us, at this moment. */
export interface Credentials {
  readonly token?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

/** Where a cluster's apiserver is, and how we show it who we are. */
export interface Cluster {
  readonly server: URL;
  /** By whom its certificate is signed; undefined for those that Node trusts. */
  readonly ca: string | undefined;
  /** The name in its certificate, where that is another than the host's. */
  readonly serverName: string | undefined;
  /** Those of now: asked for each request. Rejects with CONFIG_UNREADABLE where they cannot be had. */
  credentials(): Promise<Credentials>;
  /** The apiserver did not take them: the next ones are to be fetched anew. */
  refused(): void;
}

/** Reads again at most this often what others rotate. */
const FRESH_MS = 60_000;

/** What `read` gives, read again after a minute, or when it was refused. */
export class Rotated<T> {
  readonly #read: () => T;
  #value: T | undefined;
  #readAt = -Infinity;

  constructor(read: () => T) {
    this.#read = read;
  }

  get(): T {
    if (performance.now() - this.#readAt >= FRESH_MS) {
      this.#value = this.#read();
      this.#readAt = performance.now();
    }
    return this.#value as T;
  }

  refused(): void {
    this.#readAt = -Infinity;
  }
}
