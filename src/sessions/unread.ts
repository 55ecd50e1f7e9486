import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { UnderWay } from "../platform/under-way.ts";

/** What every session may have waiting, however much waits for the others. */
const OWN_BYTES = 1024 * 1024;

/** Where something may wait for a client to read it. */
export interface Waiting {
  /** Bytes. */
  readonly unread: number;
}

type Limits = Pick<Config["limits"], "unreadBytes" | "unreadTotalBytes">;

/** What waits for the clients of all sessions, and of each: a child that they share cannot wait for one of them. */
export class AllUnread {
  readonly #limits: Limits;
  /** Those for which more waited, when they were last looked at, than every session may have. */
  readonly #crowded = new Set<Unread>();
  /** Notifications that found no room. */
  dropped = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** The limit that a message of so many bytes would break, undefined where there is room for it. */
  refusalOf(session: Unread, bytes: number): SupervisorError | undefined {
    const own = session.bytes;
    const { unreadBytes, unreadTotalBytes } = this.#limits;
    // Where nothing waits even the largest message passes.
    if (own > 0 && own + bytes > unreadBytes)
      return noRoom(
        "the client reads more slowly than the server writes",
        "limits.unread",
        unreadBytes,
      );
    if (own + bytes <= OWN_BYTES) return undefined;
    this.#crowded.add(session);
    return this.#total + bytes > unreadTotalBytes
      ? noRoom("much waits for clients that read slowly", "limits.unreadTotal", unreadTotalBytes)
      : undefined;
  }

  forget(session: Unread): void {
    this.#crowded.delete(session);
  }

  get #total(): number {
    let total = 0;
    for (const session of this.#crowded) {
      const { bytes } = session;
      if (bytes <= OWN_BYTES) this.#crowded.delete(session);
      total += bytes;
    }
    return total;
  }
}

const noRoom = (why: string, name: string, bytes: number): SupervisorError =>
  new SupervisorError("CLIENT_TOO_SLOW", `${why}, and ${name} (${bytes >> 20} MiB) is used up`);

const unreadOf = ({ unread }: Waiting): number => unread;

/** What waits for the client of one session, on all its streams. */
export class Unread {
  readonly #all: AllUnread;
  #places = new UnderWay<Waiting>();

  constructor(all: AllUnread, ...places: readonly Waiting[]) {
    this.#all = all;
    for (const place of places) this.add(place);
  }

  get bytes(): number {
    return this.#places.sum(unreadOf);
  }

  add(place: Waiting): void {
    this.#places.add(place);
  }

  delete(place: Waiting): void {
    this.#places.delete(place);
  }

  /** The limit that a message of so many bytes would break, undefined where there is room for it. */
  refusal(bytes: number): SupervisorError | undefined {
    return this.#all.refusalOf(this, bytes);
  }

  /** A notification found no room. */
  drop(): void {
    this.#all.dropped += 1;
  }

  close(): void {
    this.#places = new UnderWay();
    this.#all.forget(this);
  }
}
