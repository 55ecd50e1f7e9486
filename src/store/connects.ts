import type { Connection, Query } from "./connection.ts";

/** An account that a browser is about to connect. */
export interface PendingConnect {
  user: string;
  server: string;
  provider: string;
}

interface Begun {
  userId: number;
  server: string;
  provider: string;
  /** Digests of what was told to the provider, and to the browser. */
  state: Buffer;
  browser: Buffer;
  expiresAt: number;
}

/** Rows of `connects`: one for each user and server, so that of two that are under way the later one counts. */
export class ConnectRows {
  readonly #set: Query<never>;
  readonly #find: Query<PendingConnect & { userId: number }>;
  readonly #delete: Query<never>;
  readonly #deleteOf: Query<never>;
  readonly #deleteEnded: Query<never>;

  constructor(db: Connection) {
    this.#set = db.prepare(
      `INSERT INTO connects (user_id, server, provider, state, browser, expires_at)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (user_id, server) DO UPDATE SET provider = excluded.provider, state = excluded.state,
         browser = excluded.browser, expires_at = excluded.expires_at`,
    );
    this.#find = db.prepare(
      `SELECT user_id AS userId, users.name AS user, server, provider
       FROM connects JOIN users ON users.id = user_id
       WHERE connects.state = ? AND browser = ? AND expires_at > ? AND users.state = 'enabled'`,
    );
    this.#delete = db.prepare("DELETE FROM connects WHERE user_id = ? AND server = ?");
    this.#deleteOf = db.prepare(
      "DELETE FROM connects WHERE user_id = (SELECT id FROM users WHERE name = ?)",
    );
    this.#deleteEnded = db.prepare("DELETE FROM connects WHERE expires_at <= ?");
  }

  /** Takes the place of the one that was under way; those whose time is over go. */
  set({ userId, server, provider, state, browser, expiresAt }: Begun): void {
    this.#deleteEnded.run(Date.now());
    this.#set.run(userId, server, provider, state, browser, expiresAt);
  }

  /** What was begun in that browser with that state, once; undefined where nothing was, or its time is over. */
  take(state: Buffer, browser: Buffer): PendingConnect | undefined {
    const found = this.#find.get(state, browser, Date.now());
    if (found === undefined) return undefined;
    const { userId, user, server, provider } = found;
    return this.#delete.run(userId, server) === 1 ? { user, server, provider } : undefined;
  }

  /** All that is under way for the user. */
  deleteOf(user: string): void {
    this.#deleteOf.run(user);
  }
}
