/** Which sessions of one child want to hear of which resource; the child is told of the first and the last. */
export class Subscriptions<Session> {
  readonly #byUri = new Map<string, Set<Session>>();
  /** The same by session: one that leaves gives up its own, and there may be many of both. */
  readonly #bySession = new Map<Session, Set<string>>();

  /** Tells whether the child has to hear of the change, because it is the first or the last, or not to be understood here. */
  change(session: Session, uri: unknown, isWanted: boolean): boolean {
    if (typeof uri !== "string") return true;
    const before = this.#byUri.get(uri)?.size ?? 0;
    if (isWanted) {
      add(this.#byUri, uri, session);
      add(this.#bySession, session, uri);
    } else {
      drop(this.#byUri, uri, session);
      drop(this.#bySession, session, uri);
    }
    return before === 0 || !this.#byUri.has(uri);
  }

  of(uri: unknown): Iterable<Session> {
    return (typeof uri === "string" ? this.#byUri.get(uri) : undefined) ?? [];
  }

  /** Forgets the session; the URIs that nobody wants any more. */
  deleteAll(session: Session): string[] {
    const uris = [...(this.#bySession.get(session) ?? [])];
    return uris.filter((uri) => this.change(session, uri, false));
  }
}

function add<Key, Value>(map: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const values = map.get(key) ?? new Set();
  map.set(key, values.add(value));
}

function drop<Key, Value>(map: Map<Key, Set<Value>>, key: Key, value: Value): void {
  const values = map.get(key);
  if (values?.delete(value) === true && values.size === 0) map.delete(key);
}
