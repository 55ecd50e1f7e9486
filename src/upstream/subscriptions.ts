/** Which sessions of one child want to hear of which resource; the child is told of the first and the last. */
export class Subscriptions<Session> {
  readonly #byUri = new Map<string, Set<Session>>();

  /** Tells whether the child has to hear of the change, because it is the first or the last, or not to be understood here. */
  change(session: Session, uri: unknown, isWanted: boolean): boolean {
    if (typeof uri !== "string") return true;
    const sessions = this.#byUri.get(uri) ?? new Set();
    const before = sessions.size;
    if (isWanted) sessions.add(session);
    else sessions.delete(session);
    if (sessions.size === 0) this.#byUri.delete(uri);
    else this.#byUri.set(uri, sessions);
    return before === 0 || sessions.size === 0;
  }

  of(uri: unknown): Iterable<Session> {
    return (typeof uri === "string" ? this.#byUri.get(uri) : undefined) ?? [];
  }

  urisOf(session: Session): string[] {
    return [...this.#byUri].filter(([, sessions]) => sessions.has(session)).map(([uri]) => uri);
  }

  /** Forgets the session; the URIs that nobody wants any more. */
  deleteAll(session: Session): string[] {
    const last: string[] = [];
    for (const [uri, sessions] of this.#byUri) {
      if (sessions.delete(session) && sessions.size === 0) last.push(uri);
    }
    for (const uri of last) this.#byUri.delete(uri);
    return last;
  }
}
