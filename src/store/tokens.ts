import type { Connection, Query } from "./connection.ts";

export interface TokenRow {
  /** '' for the general token. */
  server: string;
  fingerprint: string;
  setAt: number;
  expiresAt: number | null;
}

/** A token as it is kept: sealed. */
export interface SealedToken {
  server: string;
  box: Buffer;
}

/** A token that nobody refreshes, of a user who is enabled. */
export interface EndingToken {
  user: string;
  server: string;
  expiresAt: number;
}

/** Rows of `tokens`. */
export class TokenRows {
  readonly #set: Query<never>;
  readonly #findFor: Query<SealedToken>;
  readonly #list: Query<TokenRow>;
  readonly #ending: Query<EndingToken>;
  readonly #delete: Query<never>;
  readonly #deleteAll: Query<never>;
  readonly #any: Query<unknown>;

  constructor(db: Connection) {
    this.#set = db.prepare(
      `INSERT INTO tokens (user_id, server, box, fingerprint, set_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET box = excluded.box, fingerprint = excluded.fingerprint,
         set_at = excluded.set_at, expires_at = excluded.expires_at`,
    );
    // '' sorts before every name, so a token of the server's own comes first.
    this.#findFor = db.prepare(
      `SELECT server, box FROM tokens JOIN users ON users.id = user_id
       WHERE users.name = ? AND server IN (?, '') ORDER BY server DESC LIMIT 1`,
    );
    this.#list = db.prepare(
      `SELECT server, fingerprint, set_at AS setAt, expires_at AS expiresAt
       FROM tokens WHERE user_id = ? ORDER BY server`,
    );
    this.#ending = db.prepare(
      `SELECT users.name AS user, tokens.server, tokens.expires_at AS expiresAt
       FROM tokens JOIN users ON users.id = tokens.user_id
       LEFT JOIN grants ON grants.user_id = tokens.user_id AND grants.server = tokens.server
       WHERE users.state = 'enabled' AND grants.user_id IS NULL AND tokens.expires_at <= ?`,
    );
    this.#delete = db.prepare("DELETE FROM tokens WHERE user_id = ? AND server = ?");
    this.#deleteAll = db.prepare("DELETE FROM tokens WHERE user_id = ?");
    this.#any = db.prepare("SELECT 1 FROM tokens LIMIT 1");
  }

  /** Takes the place of the token that was there. */
  set(userId: number, token: TokenRow, box: Buffer): void {
    const { server, fingerprint, setAt, expiresAt } = token;
    this.#set.run(userId, server, box, fingerprint, setAt, expiresAt);
  }

  /** The token of that server, else the general one. */
  findFor(user: string, server: string): SealedToken | undefined {
    return this.#findFor.get(user, server);
  }

  list(userId: number): TokenRow[] {
    return this.#list.all(userId);
  }

  /** Those that no provider renews, and that end by then (epoch ms) or have ended. */
  ending(until: number): EndingToken[] {
    return this.#ending.all(until);
  }

  /** False where there was none. */
  delete(userId: number, server: string): boolean {
    return this.#delete.run(userId, server) === 1;
  }

  /** How many there were. */
  deleteAll(userId: number): number {
    return this.#deleteAll.run(userId);
  }

  hasAny(): boolean {
    return this.#any.get() !== undefined;
  }
}
