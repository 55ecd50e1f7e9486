/** A request of a client that the child has. */
export interface OpenCall<Client> {
  readonly client: Client;
  /** The client's own id, as it wrote it and as it is compared. */
  readonly rawId: string;
  readonly id: string;
  readonly progressToken: string | undefined;
  readonly hasTurn: boolean;
}

/** What a child that many clients share has to answer, by the id that the child knows it by; what the client calls it leads there too. */
export class OpenCalls<Client> {
  readonly #calls = new Map<number, OpenCall<Client>>();
  /** Of a client that has none now an empty one stays until it leaves: a map for each call is garbage for each call. */
  readonly #byClient = new Map<Client, Map<string, number>>();

  add(childId: number, call: OpenCall<Client>): void {
    this.#calls.set(childId, call);
    const theirs = this.#byClient.get(call.client);
    if (theirs === undefined) this.#byClient.set(call.client, new Map([[call.id, childId]]));
    else theirs.set(call.id, childId);
  }

  get(childId: number): OpenCall<Client> | undefined {
    return this.#calls.get(childId);
  }

  /** The child's id of the client's call, by the client's. */
  find(client: Client, id: string): number | undefined {
    return this.#byClient.get(client)?.get(id);
  }

  /** The client's own ids of its calls that the child knows by one of these. */
  of(client: Client, childIds: ReadonlySet<number>): string[] {
    const theirs = [...(this.#byClient.get(client) ?? [])];
    return theirs.filter(([, childId]) => childIds.has(childId)).map(([id]) => id);
  }

  /** The client leaves: the child's ids of all its calls, which are under way until they are deleted. */
  leave(client: Client): number[] {
    const theirs = this.#byClient.get(client);
    this.#byClient.delete(client);
    return [...(theirs?.values() ?? [])];
  }

  /** Those that have any. */
  *clients(): Iterable<Client> {
    for (const [client, { size }] of this.#byClient) if (size > 0) yield client;
  }

  delete(childId: number): void {
    const call = this.#calls.get(childId);
    if (call === undefined) return;
    this.#calls.delete(childId);
    const theirs = this.#byClient.get(call.client);
    // By now the client's id may be another call's.
    if (theirs?.get(call.id) === childId) theirs.delete(call.id);
  }
}
