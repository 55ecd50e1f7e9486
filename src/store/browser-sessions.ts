import type { Connection, Query } from "./connection.ts";

export interface BrowserSessionRow {
  id: string;
  user: string;
  /** The access key that it was opened with, and what it is called. */
  keyId: string;
  keyLabel: string | null;
  keyExpiresAt: number | null;
  /** What the browser says it is. */
  client: string;
  createdAt: number;
  usedAt: number;
}

/** Those in force at a time: neither idle for too long nor too old. */
export interface InForce {
  usedAfter: number;
  createdAfter: number;
}

const LIVE = `SELECT browser_sessions.id, users.name AS user, key_id AS keyId, access_keys.label AS keyLabel,
    access_keys.expires_at AS keyExpiresAt, client, browser_sessions.created_at AS createdAt, used_at AS usedAt
  FROM browser_sessions
    JOIN users ON users.id = browser_sessions.user_id AND users.state = 'enabled'
    JOIN access_keys ON access_keys.id = key_id AND access_keys.user_id = browser_sessions.user_id
      AND revoked_at IS NULL AND (access_keys.expires_at IS NULL OR access_keys.expires_at > ?)
  WHERE used_at > ? AND browser_sessions.created_at > ?`;

/** Rows of `browser_sessions`. What is found or listed is in force, and so are its key and its user. */
export class BrowserSessionRows {
  readonly #insert: Query<never>;
  readonly #find: Query<BrowserSessionRow>;
  readonly #list: Query<BrowserSessionRow>;
  readonly #ofKey: Query<{ id: string }>;
  readonly #ofUser: Query<{ id: string }>;
  readonly #use: Query<never>;
  readonly #delete: Query<never>;
  readonly #deleteEnded: Query<never>;
  readonly #deleteAll: Query<never>;

  constructor(db: Connection) {
    this.#insert = db.prepare(
      `INSERT INTO browser_sessions (id, hash, user_id, key_id, client, created_at, used_at)
       SELECT ?, ?, user_id, id, ?, ?, ? FROM access_keys WHERE id = ?`,
    );
    this.#find = db.prepare(`${LIVE} AND browser_sessions.hash = ?`);
    this.#list = db.prepare(
      `${LIVE} AND users.name = ? ORDER BY used_at DESC, browser_sessions.id`,
    );
    this.#ofKey = db.prepare("SELECT id FROM browser_sessions WHERE key_id = ?");
    this.#ofUser = db.prepare(
      "SELECT id FROM browser_sessions WHERE user_id = (SELECT id FROM users WHERE name = ?)",
    );
    this.#use = db.prepare("UPDATE browser_sessions SET used_at = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM browser_sessions WHERE id = ?");
    this.#deleteEnded = db.prepare(
      "DELETE FROM browser_sessions WHERE used_at <= ? OR created_at <= ?",
    );
    this.#deleteAll = db.prepare("DELETE FROM browser_sessions");
  }

  /** `hash` is the secret's. Of the key's user; those whose time is over go. */
  insert(
    {
      id,
      keyId,
      client,
      createdAt,
    }: Pick<BrowserSessionRow, "id" | "keyId" | "client" | "createdAt">,
    hash: Buffer,
    { usedAfter, createdAfter }: InForce,
  ): void {
    this.#deleteEnded.run(usedAfter, createdAfter);
    this.#insert.run(id, hash, client, createdAt, createdAt, keyId);
  }

  find(
    hash: Buffer,
    now: number,
    { usedAfter, createdAfter }: InForce,
  ): BrowserSessionRow | undefined {
    return this.#find.get(now, usedAfter, createdAfter, hash);
  }

  /** Those of a user, the last used first. */
  list(user: string, now: number, { usedAfter, createdAfter }: InForce): BrowserSessionRow[] {
    return this.#list.all(now, usedAfter, createdAfter, user);
  }

  /** Also those that are not in force: the ids of what was opened with a key. */
  ofKey(keyId: string): string[] {
    return this.#ofKey.all(keyId).map(({ id }) => id);
  }

  /** As `ofKey`, with any key of the user. */
  ofUser(user: string): string[] {
    return this.#ofUser.all(user).map(({ id }) => id);
  }

  use(id: string, at: number): void {
    this.#use.run(at, id);
  }

  delete(id: string): void {
    this.#delete.run(id);
  }

  deleteAll(): void {
    this.#deleteAll.run();
  }
}
