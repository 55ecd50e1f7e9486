import { SupervisorError, counted } from "../errors.ts";

/** Streams come and go with their clients; nobody knows when. */
const RETRY_AFTER_SECONDS = 10;

export interface Holder {
  user: string;
  keyId: string;
}

interface Entry {
  readonly holder: Holder;
  readonly isStream: boolean;
  readonly close: () => void;
}

/**
 * What is open in whose name, so that a revoked key or a disabled user ends at once and not at the
 * next request.
 */
export class OpenRequests {
  readonly #byUser = new Map<string, Set<Entry>>();
  readonly #limits: { readonly streamsPerUser: number };

  constructor(limits: { readonly streamsPerUser: number }) {
    this.#limits = limits;
  }

  /** Returns the function that says "over". Rejects a stream beyond the user's share with TOO_MANY_STREAMS. */
  add(holder: Holder, isStream: boolean, close: () => void): () => void {
    const entries = this.#byUser.get(holder.user) ?? new Set();
    const { streamsPerUser } = this.#limits;
    if (isStream && this.#streams(entries) >= streamsPerUser) {
      throw new SupervisorError(
        "TOO_MANY_STREAMS",
        `${holder.user}: ${counted(streamsPerUser, "stream is", "streams are")} open, which is the limit`,
        { retryAfterSeconds: RETRY_AFTER_SECONDS },
      );
    }
    this.#byUser.set(holder.user, entries);
    const entry: Entry = { holder, isStream, close };
    entries.add(entry);
    return () => {
      entries.delete(entry);
      if (entries.size === 0 && this.#byUser.get(holder.user) === entries)
        this.#byUser.delete(holder.user);
    };
  }

  /** Of all users. */
  get streamCount(): number {
    let count = 0;
    for (const entries of this.#byUser.values()) count += this.#streams(entries);
    return count;
  }

  /** Streams and others, of all users. */
  get count(): number {
    let count = 0;
    for (const entries of this.#byUser.values()) count += entries.size;
    return count;
  }

  /** Those that are no streams, of all users: each has an answer coming. */
  get requestCount(): number {
    return this.count - this.streamCount;
  }

  closeKey({ user, keyId }: Holder): void {
    for (const entry of this.#byUser.get(user) ?? [])
      if (entry.holder.keyId === keyId) entry.close();
  }

  closeUser(user: string): void {
    for (const entry of this.#byUser.get(user) ?? []) entry.close();
  }

  closeAll(): void {
    for (const user of this.#byUser.keys()) this.closeUser(user);
  }

  #streams(entries: ReadonlySet<Entry>): number {
    // Counted here and not kept: entries are few, and only opening a stream asks.
    let count = 0;
    for (const entry of entries) if (entry.isStream) count += 1;
    return count;
  }
}
