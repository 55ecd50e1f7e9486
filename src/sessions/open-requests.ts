import { isSameCredential } from "../auth/principal.ts";
import type { Credential } from "../auth/principal.ts";
import { SupervisorError, counted } from "../errors.ts";
import { UnderWay } from "../platform/under-way.ts";

/** Streams come and go with their clients; nobody knows when. */
const RETRY_AFTER_SECONDS = 10;

/** A stream of which nothing was heard for so long gives its place to a new one. */
const SILENT_MS = 60_000;

interface Entry {
  readonly holder: Credential;
  readonly close: () => void;
  /** The one that it is for; undefined where that is not known before it is read. */
  readonly server: string | undefined;
  /** Of a stream: when (`performance.now()`) it last carried a message; undefined where it has carried none. */
  readonly lastMessageAt: (() => number | undefined) | undefined;
}

/**
 * What is open in whose name, so that a revoked key or a disabled user ends at once and not at the
 * next request.
 */
export class OpenRequests {
  /** Empty ones stay: a map that changed with every request would be more to collect than they are. */
  readonly #byUser = new Map<string, UnderWay<Entry>>();
  readonly #limits: { readonly streamsPerUser: number };

  constructor(limits: { readonly streamsPerUser: number }) {
    this.#limits = limits;
  }

  /** Returns the function that says "over". */
  add(holder: Credential, close: () => void, server?: string): () => void {
    return this.#add({ holder, close, server, lastMessageAt: undefined });
  }

  /**
   * As `add`, for a stream. Beyond the user's share the key that has the most gives one up, since it
   * may be one client that leaks them: the first that never carried a message, else the one that has
   * been silent for the longest time, where that is over a minute. Rejects with TOO_MANY_STREAMS
   * where there is none such.
   */
  addStream(
    holder: Credential,
    close: () => void,
    lastMessageAt: () => number | undefined,
    server?: string,
  ): () => void {
    const entries = this.#byUser.get(holder.user);
    const { streamsPerUser } = this.#limits;
    if (streamsAmong(entries) >= streamsPerUser) {
      const spare = leastMissed(streamsIn(entries));
      if (spare === undefined)
        throw new SupervisorError(
          "TOO_MANY_STREAMS",
          `${holder.user}: ${counted(streamsPerUser, "stream is", "streams are")} open, which is the limit`,
          { retryAfterSeconds: RETRY_AFTER_SECONDS },
        );
      // At once: its own word that it is over may come later.
      this.#delete(spare);
      spare.close();
    }
    return this.#add({ holder, close, server, lastMessageAt });
  }

  /** Of all users. */
  get streamCount(): number {
    let count = 0;
    for (const entries of this.#byUser.values()) count += streamsAmong(entries);
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

  closeCredential(ended: Credential): void {
    for (const entry of this.#byUser.get(ended.user) ?? [])
      if (isSameCredential(entry.holder, ended)) entry.close();
  }

  closeUser(user: string): void {
    for (const entry of this.#byUser.get(user) ?? []) entry.close();
  }

  /** Those of one server, of the users whom it is closed to. */
  closeServer(server: string, isOut: (user: string) => boolean): void {
    for (const [user, entries] of this.#byUser) {
      const own = [...entries].filter((entry) => entry.server === server);
      if (own.length > 0 && isOut(user)) for (const entry of own) entry.close();
    }
  }

  closeAll(): void {
    for (const user of this.#byUser.keys()) this.closeUser(user);
  }

  #add(entry: Entry): () => void {
    const { user } = entry.holder;
    let entries = this.#byUser.get(user);
    if (entries === undefined) this.#byUser.set(user, (entries = new UnderWay()));
    const opened = entries;
    opened.add(entry);
    return () => opened.delete(entry);
  }

  #delete(entry: Entry): void {
    this.#byUser.get(entry.holder.user)?.delete(entry);
  }
}

const oneForStream = ({ lastMessageAt }: Entry): number => (lastMessageAt === undefined ? 0 : 1);

/** Counted when asked and not kept: entries are few, and only opening a stream asks. */
const streamsAmong = (entries: UnderWay<Entry> | undefined): number =>
  entries?.sum(oneForStream) ?? 0;

const streamsIn = (entries: Iterable<Entry> = []): Entry[] =>
  [...entries].filter(({ lastMessageAt }) => lastMessageAt !== undefined);

/** Of the key with the most streams the one that its client will miss least, if any. */
function leastMissed(streams: readonly Entry[]): Entry | undefined {
  const ofSame = (entry: Entry) =>
    streams.filter(({ holder }) => isSameCredential(holder, entry.holder));
  const most = streams.map(ofSame).reduce((a, b) => (b.length > a.length ? b : a), []);
  let found: Entry | undefined;
  let silentSince = performance.now() - SILENT_MS;
  for (const entry of most) {
    const at = entry.lastMessageAt!();
    if (at === undefined) return entry;
    if (at >= silentSince) continue;
    found = entry;
    silentSince = at;
  }
  return found;
}
