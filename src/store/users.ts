import type { Connection, Query } from "./connection.ts";

/** `removing` lasts from the first step of a removal to the last; a daemon killed between finds it at its start. */
export type UserState = "enabled" | "disabled" | "removing";

export interface UserRow {
  id: number;
  name: string;
  state: UserState;
  createdAt: number;
  /** What people know the user by; it lets nobody in, like the address. */
  fullName: string | null;
  email: string | null;
  /** What an apply did: made the user, or disabled one that it had made; null for all others. */
  applied: "made" | "pruned" | null;
}

export type AboutUser = Pick<UserRow, "fullName" | "email">;

const NOTHING_SAID: AboutUser = { fullName: null, email: null };

/** A user with what hangs on the row. Times are epoch ms. */
export interface UserOverview extends UserRow {
  /** Of the last call of a tool; null where none is known. */
  lastSeenAt: number | null;
  /** Those that were not revoked, and when the first of them expires, or did. */
  keys: number;
  keyExpiresAt: number | null;
  tokens: number;
  /** Of one that is refreshed: when that ends. */
  tokenExpiresAt: number | null;
  /** Servers that the user has a token of their own for, with commas between. */
  tokenServers: string | null;
}

const COLUMNS = "id, name, state, created_at AS createdAt, full_name AS fullName, email, applied";

const OVERVIEW = `SELECT ${COLUMNS}, last_seen_at AS lastSeenAt, coalesce(keys, 0) AS keys, keyExpiresAt,
  coalesce(tokens, 0) AS tokens, tokenExpiresAt, tokenServers
  FROM users
  LEFT JOIN (SELECT user_id, count(*) AS keys, min(expires_at) AS keyExpiresAt
    FROM access_keys WHERE revoked_at IS NULL GROUP BY user_id) AS k ON k.user_id = users.id
  LEFT JOIN (SELECT user_id, count(*) AS tokens, group_concat(nullif(server, '')) AS tokenServers,
    min(iif(provider IS NULL, expires_at, refresh_expires_at)) AS tokenExpiresAt
    FROM tokens FULL JOIN grants USING (user_id, server) GROUP BY user_id) AS t ON t.user_id = users.id
  ORDER BY name`;

/** Rows of `users`. */
export class UserRows {
  readonly #insert: Query<UserRow>;
  readonly #find: Query<UserRow>;
  readonly #list: Query<UserRow>;
  readonly #overview: Query<UserOverview>;
  readonly #see: Query<never>;
  readonly #count: Query<{ users: number }>;
  readonly #setState: Query<never>;
  readonly #setAbout: Query<never>;
  readonly #setApplied: Query<never>;
  readonly #delete: Query<never>;

  constructor(db: Connection) {
    this.#insert = db.prepare(
      `INSERT INTO users (name, state, created_at, full_name, email)
       VALUES (?, 'enabled', ?, ?, ?) RETURNING ${COLUMNS}`,
    );
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM users WHERE name = ?`);
    this.#list = db.prepare(`SELECT ${COLUMNS} FROM users ORDER BY name`);
    this.#overview = db.prepare(OVERVIEW);
    this.#see = db.prepare("UPDATE users SET last_seen_at = ? WHERE name = ? AND created_at <= ?");
    this.#count = db.prepare("SELECT count(*) AS users FROM users");
    this.#setState = db.prepare("UPDATE users SET state = ? WHERE id = ?");
    this.#setAbout = db.prepare("UPDATE users SET full_name = ?, email = ? WHERE id = ?");
    this.#setApplied = db.prepare("UPDATE users SET applied = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM users WHERE id = ?");
  }

  /** An enabled user. The name must be free. */
  insert(name: string, createdAt: number, { fullName, email } = NOTHING_SAID): UserRow {
    return this.#insert.get(name, createdAt, fullName, email)!;
  }

  /** The user has called a tool then; whoever had the name before has not. */
  seen(name: string, at: number): void {
    this.#see.run(at, name, at);
  }

  /** All users in order of their names, with what hangs on them. */
  overview(): UserOverview[] {
    return this.#overview.all();
  }

  find(name: string): UserRow | undefined {
    return this.#find.get(name);
  }

  list(): UserRow[] {
    return this.#list.all();
  }

  count(): number {
    return this.#count.get()!.users;
  }

  setState(id: number, state: UserState): void {
    this.#setState.run(state, id);
  }

  setAbout(id: number, { fullName, email }: AboutUser): void {
    this.#setAbout.run(fullName, email, id);
  }

  setApplied(id: number, applied: UserRow["applied"]): void {
    this.#setApplied.run(applied, id);
  }

  /** Takes the user's access keys and tokens with it. */
  delete(id: number): void {
    this.#delete.run(id);
  }
}
