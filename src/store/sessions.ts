import type { Connection, Query } from "./connection.ts";

/** Whose session: of the principal, as far as another of its credentials may go on with it. */
export interface SessionOwner {
  user: string;
  issuer: string;
  /** Of an access key its id; empty where the next credential of that issuer goes on. */
  credential: string;
}

/** A session without what it knows. `hash` is that of its id, in hex. Times are epoch ms. */
export interface SessionHead extends SessionOwner {
  hash: string;
  server: string;
  /** What the server has to be like for the session to go on. */
  shape: string;
  /** What its client speaks, and what becomes of that. */
  front: string;
  /** A digest of what the client calls itself, where it is to be known by that. */
  agent: string;
  /** What it set beside the messages, as a keyed digest. */
  mark: string | null;
  createdAt: number;
  usedAt: number;
  /** When its client was last seen to have left; null while it is there, and where the daemon ended first. */
  detachedAt: number | null;
}

export interface SessionRow extends SessionHead {
  /** What it knows, sealed. */
  box: Buffer;
}

/** Which session it is, and whose. */
export type NamedSession = Pick<SessionHead, "hash" | "user" | "server">;

/** What a client is known by that comes back without the id of its session. */
export type SessionTrace = Pick<
  SessionHead,
  "user" | "issuer" | "credential" | "server" | "shape" | "front" | "agent" | "mark"
>;

/** Some of them. */
export type SessionSelector =
  | SessionOwner
  | { user: string; server?: string }
  | { server: string; user?: never };

const OF_USER = "user_id = (SELECT id FROM users WHERE name = ?)";
const OWNED = `${OF_USER} AND issuer = ? AND credential = ?`;
const COLUMNS = `hash, users.name AS user, issuer, credential, server, shape, front, agent, mark,
  sessions.created_at AS createdAt, used_at AS usedAt, detached_at AS detachedAt, box`;
const FROM = `SELECT ${COLUMNS} FROM sessions JOIN users ON users.id = user_id`;

/**
 * Rows of `sessions`. Nothing here opens a transaction: a write is meant to be one of several that do
 * not wait for the disk, see `Store.relaxed`.
 */
export class SessionRows {
  readonly #insert: Query<never>;
  readonly #find: Query<SessionRow>;
  readonly #lastLeft: Query<SessionRow>;
  readonly #list: Query<SessionRow>;
  readonly #startingWith: Query<NamedSession>;
  readonly #ages: Query<{ hash: string; usedAt: number }>;
  readonly #count: Query<{ sessions: number }>;
  readonly #crowded: Query<{ user: string }>;
  readonly #touch: Query<never>;
  readonly #save: Query<never>;
  readonly #delete: Query<never>;
  readonly #deleteOwned: Query<never>;
  readonly #deleteOfUser: Query<never>;
  readonly #deleteOfServer: Query<never>;
  readonly #deleteTo: Query<never>;
  readonly #users: Query<{ user: string }>;
  readonly #deleteUnused: Query<never>;
  readonly #deleteShape: Query<never>;
  readonly #deleteEnded: Query<never>;
  readonly #shapes: Query<{ server: string; shape: string }>;
  readonly #leave: Query<never>;

  constructor(db: Connection) {
    this.#insert = db.prepare(
      `INSERT INTO sessions (hash, user_id, issuer, credential, server, shape, front, agent, mark,
         created_at, used_at, detached_at, box)
       SELECT ?, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM users WHERE name = ? AND state = 'enabled'`,
    );
    this.#find = db.prepare(`${FROM} WHERE hash = ?`);
    this.#lastLeft = db.prepare(
      `${FROM} WHERE ${OWNED} AND server = ? AND shape = ? AND front = ? AND agent = ? AND mark IS ?
       AND detached_at IS NOT NULL AND used_at >= ? ORDER BY detached_at DESC, used_at DESC LIMIT 1`,
    );
    this.#list = db.prepare(`${FROM} WHERE users.name = ?`);
    this.#startingWith = db.prepare(
      `SELECT hash, users.name AS user, server FROM sessions JOIN users ON users.id = user_id
       WHERE hash >= ? AND hash < ? ORDER BY hash LIMIT ?`,
    );
    this.#ages = db.prepare(`SELECT hash, used_at AS usedAt FROM sessions WHERE ${OF_USER}`);
    this.#count = db.prepare(`SELECT count(*) AS sessions FROM sessions WHERE ${OF_USER}`);
    this.#crowded = db.prepare(
      `SELECT users.name AS user FROM sessions JOIN users ON users.id = user_id
       GROUP BY user_id HAVING count(*) > ?`,
    );
    this.#touch = db.prepare("UPDATE sessions SET used_at = ?, detached_at = ? WHERE hash = ?");
    this.#save = db.prepare(
      "UPDATE sessions SET used_at = ?, detached_at = ?, box = ? WHERE hash = ?",
    );
    this.#delete = db.prepare("DELETE FROM sessions WHERE hash = ?");
    this.#deleteOwned = db.prepare(`DELETE FROM sessions WHERE ${OWNED}`);
    this.#deleteOfUser = db.prepare(`DELETE FROM sessions WHERE ${OF_USER}`);
    this.#deleteOfServer = db.prepare("DELETE FROM sessions WHERE server = ?");
    this.#deleteTo = db.prepare(`DELETE FROM sessions WHERE ${OF_USER} AND server = ?`);
    this.#users = db.prepare(
      `SELECT DISTINCT users.name AS user FROM sessions JOIN users ON users.id = user_id WHERE server = ?`,
    );
    this.#deleteUnused = db.prepare(
      `DELETE FROM sessions WHERE hash IN (
         SELECT hash FROM sessions WHERE used_at < ? ORDER BY used_at LIMIT ?)`,
    );
    this.#deleteShape = db.prepare("DELETE FROM sessions WHERE server = ? AND shape = ?");
    this.#deleteEnded = db.prepare(
      `DELETE FROM sessions WHERE user_id NOT IN (SELECT id FROM users WHERE state = 'enabled')
       OR issuer = ? AND credential NOT IN (SELECT id FROM access_keys
         WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?))`,
    );
    this.#shapes = db.prepare("SELECT DISTINCT server, shape FROM sessions");
    this.#leave = db.prepare("UPDATE sessions SET detached_at = ? WHERE detached_at IS NULL");
  }

  /** False for a user who is not there, or may not come in. */
  insert(row: SessionRow): boolean {
    const { hash, user, issuer, credential, server, shape, front, agent, mark, box } = row;
    const times = [row.createdAt, row.usedAt, row.detachedAt];
    const about = [issuer, credential, server, shape, front, agent, mark];
    return this.#insert.run(hash, ...about, ...times, box, user) === 1;
  }

  find(hash: string): SessionRow | undefined {
    return this.#find.get(hash);
  }

  /** The last one of that trace whose client left, and that was used since. */
  lastLeft(trace: SessionTrace, since: number): SessionRow | undefined {
    const { user, issuer, credential, server, shape, front, agent, mark } = trace;
    return this.#lastLeft.get(user, issuer, credential, server, shape, front, agent, mark, since);
  }

  /** All of a user's, in no order. */
  list(user: string): SessionRow[] {
    return this.#list.all(user);
  }

  /** Those whose hash begins with these hex digits, `most` at most. */
  startingWith(digits: string, most: number): NamedSession[] {
    return this.#startingWith.all(digits, `${digits}g`, most);
  }

  /** When each of a user's was last used, as far as that was written. */
  ages(user: string): { hash: string; usedAt: number }[] {
    return this.#ages.all(user);
  }

  count(user: string): number {
    return this.#count.get(user)!.sessions;
  }

  /** Those who have any with that server. */
  usersOf(server: string): string[] {
    return this.#users.all(server).map(({ user }) => user);
  }

  /** Users with more than so many. */
  crowded(most: number): string[] {
    return this.#crowded.all(most).map(({ user }) => user);
  }

  touch({ hash, usedAt, detachedAt }: Pick<SessionHead, "hash" | "usedAt" | "detachedAt">): void {
    this.#touch.run(usedAt, detachedAt, hash);
  }

  /** As `touch`, with what it knows now. */
  save({ hash, usedAt, detachedAt, box }: SessionRow): void {
    this.#save.run(usedAt, detachedAt, box, hash);
  }

  delete(hash: string): void {
    this.#delete.run(hash);
  }

  deleteOf(which: SessionSelector): void {
    if (which.user === undefined) this.#deleteOfServer.run(which.server);
    else if ("issuer" in which) this.#deleteOwned.run(which.user, which.issuer, which.credential);
    else if (which.server === undefined) this.#deleteOfUser.run(which.user);
    else this.#deleteTo.run(which.user, which.server);
  }

  /** Deletes `most` at most of those that nobody used since; how many it were. */
  deleteUnused(since: number, most: number): number {
    return this.#deleteUnused.run(since, most);
  }

  /** Deletes those of users who may not come in, and of access keys (`issuer`) that open nothing at that time. */
  deleteEnded(issuer: string, at: number): void {
    this.#deleteEnded.run(issuer, at);
  }

  /** Deletes those of servers that this is false for. */
  retain(isThere: (server: string, shape: string) => boolean): void {
    for (const { server, shape } of this.#shapes.all())
      if (!isThere(server, shape)) this.#deleteShape.run(server, shape);
  }

  /** Nobody is there any more: the clients of all have left, at that time at the latest. */
  leave(at: number): void {
    this.#leave.run(at);
  }
}
