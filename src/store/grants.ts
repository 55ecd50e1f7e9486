import type { Connection, Query } from "./connection.ts";

/** `inflight`: the provider was asked, and what it answered is not stored. */
export type GrantState = "idle" | "inflight" | "needs_reauth";

/** The reason of a refresh token that a backup has brought back and no refresh has replaced since: it may have been used already. */
export const RESTORED = "restored";

/** What is known of a refresh token without opening it, and of the access token that it gave. Times are epoch ms. */
export interface GrantRow {
  userId: number;
  user: string;
  server: string;
  provider: string;
  /** Counts the refresh tokens that were set or came; a change of it ends what is under way. */
  generation: number;
  state: GrantState;
  since: number;
  /** Why the user has to connect anew; in other states `RESTORED` or null. */
  reason: string | null;
  refreshExpiresAt: number | null;
  /** How long the access token was to live when it came. */
  lifetimeMs: number | null;
  refreshedAt: number | null;
  /** Of the last try: `ok`, or why it failed. */
  outcome: string | null;
  outcomeAt: number | null;
  usedAt: number | null;
  /** Of the access token; null where there is none. */
  expiresAt: number | null;
}

type GrantKey = Pick<GrantRow, "userId" | "server" | "generation">;

/** A refresh token as it comes: sealed. */
export interface NewGrant {
  provider: string;
  generation: number;
  box: Buffer;
  refreshExpiresAt: number | null;
}

/** What a refresh gave, beside the access token. */
export interface Renewal extends Omit<NewGrant, "provider"> {
  lifetimeMs: number;
  at: number;
}

/** Rows of `grants`: the refresh tokens of users, one for each server. */
export class GrantRows {
  readonly #set: Query<never>;
  readonly #find: Query<GrantRow>;
  readonly #all: Query<GrantRow>;
  readonly #ending: Query<GrantRow>;
  readonly #of: Query<GrantRow>;
  readonly #box: Query<{ box: Buffer }>;
  readonly #begin: Query<never>;
  readonly #renew: Query<never>;
  readonly #settle: Query<never>;
  readonly #markRestored: Query<never>;
  readonly #use: Query<never>;
  readonly #delete: Query<never>;
  readonly #deleteAll: Query<never>;

  constructor(db: Connection) {
    const columns = `grants.user_id AS userId, users.name AS user, grants.server, provider, generation,
      grants.state, since, reason, refresh_expires_at AS refreshExpiresAt, lifetime_ms AS lifetimeMs,
      refreshed_at AS refreshedAt, outcome, outcome_at AS outcomeAt, used_at AS usedAt,
      tokens.expires_at AS expiresAt`;
    const joined = `FROM grants JOIN users ON users.id = grants.user_id
      LEFT JOIN tokens ON tokens.user_id = grants.user_id AND tokens.server = grants.server`;
    const own = "user_id = ? AND server = ? AND generation = ?";
    this.#set = db.prepare(
      `INSERT INTO grants (user_id, server, provider, generation, box, refresh_expires_at, state, since)
       VALUES (?, ?, ?, ?, ?, ?, 'idle', ?)
       ON CONFLICT DO UPDATE SET provider = excluded.provider, generation = excluded.generation,
         box = excluded.box, refresh_expires_at = excluded.refresh_expires_at, state = 'idle',
         since = excluded.since, reason = NULL, lifetime_ms = NULL, refreshed_at = NULL,
         outcome = NULL, outcome_at = NULL`,
    );
    this.#find = db.prepare(
      `SELECT ${columns} ${joined} WHERE users.name = ? AND grants.server = ?`,
    );
    this.#all = db.prepare(
      `SELECT ${columns} ${joined} WHERE users.state <> 'removing' ORDER BY grants.user_id`,
    );
    this.#ending = db.prepare(
      `SELECT ${columns} ${joined} WHERE users.state = 'enabled'
         AND (grants.state = 'needs_reauth' OR refresh_expires_at <= ?)`,
    );
    this.#of = db.prepare(`SELECT ${columns} ${joined} WHERE grants.user_id = ?`);
    this.#box = db.prepare(`SELECT box FROM grants WHERE ${own}`);
    this.#begin = db.prepare(
      `UPDATE grants SET state = 'inflight', since = ? WHERE ${own} AND state <> 'needs_reauth'`,
    );
    this.#renew = db.prepare(
      `UPDATE grants SET state = 'idle', since = ?, reason = NULL, box = ?, generation = ?,
         refresh_expires_at = ?, lifetime_ms = ?, refreshed_at = ?, outcome = 'ok', outcome_at = ?
       WHERE ${own}`,
    );
    this.#settle = db.prepare(
      `UPDATE grants SET state = ?, since = ?, reason = ?, outcome = ?, outcome_at = ? WHERE ${own}`,
    );
    this.#markRestored = db.prepare("UPDATE grants SET reason = ? WHERE state <> 'needs_reauth'");
    this.#use = db.prepare("UPDATE grants SET used_at = ? WHERE user_id = ? AND server = ?");
    this.#delete = db.prepare("DELETE FROM grants WHERE user_id = ? AND server = ?");
    this.#deleteAll = db.prepare("DELETE FROM grants WHERE user_id = ?");
  }

  /** Takes the place of the one that was there. */
  set(userId: number, server: string, grant: NewGrant): void {
    const { provider, generation, box, refreshExpiresAt } = grant;
    this.#set.run(userId, server, provider, generation, box, refreshExpiresAt, Date.now());
  }

  find(user: string, server: string): GrantRow | undefined {
    return this.#find.get(user, server);
  }

  /** Those of all users who are not being removed. */
  all(): GrantRow[] {
    return this.#all.all();
  }

  /** Those of enabled users that have to connect anew, or whose refresh token ends by then (epoch ms). */
  ending(until: number): GrantRow[] {
    return this.#ending.all(until);
  }

  of(userId: number): GrantRow[] {
    return this.#of.all(userId);
  }

  /** The refresh token of that generation. */
  box({ userId, server, generation }: GrantRow): Buffer | undefined {
    return this.#box.get(userId, server, generation)?.box;
  }

  /** The provider is about to be asked. This and the next two are false where the row is another one by now. */
  begin({ userId, server, generation }: GrantRow): boolean {
    return this.#begin.run(Date.now(), userId, server, generation) === 1;
  }

  /** What the provider gave takes the place of what it was asked with. */
  renew({ userId, server, generation }: GrantKey, renewal: Renewal): boolean {
    const { box, generation: next, refreshExpiresAt, lifetimeMs, at } = renewal;
    const values = [at, box, next, refreshExpiresAt, lifetimeMs, at, at];
    return this.#renew.run(...values, userId, server, generation) === 1;
  }

  /** The provider gave nothing. */
  settle(
    { userId, server, generation }: GrantKey,
    { state, reason, outcome }: Pick<GrantRow, "state" | "reason" | "outcome">,
  ): boolean {
    const now = Date.now();
    return this.#settle.run(state, now, reason, outcome, now, userId, server, generation) === 1;
  }

  /** All of them come from a backup. */
  markRestored(): void {
    this.#markRestored.run(RESTORED);
  }

  used({ userId, server }: GrantRow, at: number): void {
    this.#use.run(at, userId, server);
  }

  /** False where there was none. */
  delete(userId: number, server: string): boolean {
    return this.#delete.run(userId, server) === 1;
  }

  deleteAll(userId: number): void {
    this.#deleteAll.run(userId);
  }
}
