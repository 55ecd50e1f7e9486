import type { Connection, Query } from "./connection.ts";
import type { UserState } from "./users.ts";

/** What an issuer of JWTs calls a user. */
export interface IdentityRow {
  issuer: string;
  subject: string;
  linkedAt: number;
}

/** Whom a subject is, as far as it decides who may come in. */
export interface SubjectRow {
  userId: number;
  user: string;
  userState: UserState;
  /** JWTs that were issued before that (epoch ms) open nothing; null where none were revoked. */
  revokedBefore: number | null;
}

const SUBJECT = `users.id AS userId, users.name AS user, users.state AS userState,
  users.jwts_revoked_before AS revokedBefore`;

/** Rows of `identities`, and what `users` holds about JWTs. */
export class IdentityRows {
  readonly #find: Query<{ userId: number | null }>;
  readonly #userById: Query<SubjectRow>;
  readonly #userByName: Query<SubjectRow>;
  readonly #list: Query<IdentityRow>;
  readonly #link: Query<never>;
  readonly #keep: Query<never>;
  readonly #revokeBefore: Query<{ revokedBefore: number }>;
  readonly #revokeAll: Query<never>;

  constructor(db: Connection) {
    this.#find = db.prepare(
      "SELECT user_id AS userId FROM identities WHERE issuer = ? AND subject = ?",
    );
    this.#userById = db.prepare(`SELECT ${SUBJECT} FROM users WHERE id = ?`);
    this.#userByName = db.prepare(`SELECT ${SUBJECT} FROM users WHERE name = ?`);
    this.#list = db.prepare(
      `SELECT issuer, subject, linked_at AS linkedAt FROM identities WHERE user_id = ?
       ORDER BY issuer, subject`,
    );
    this.#link = db.prepare(
      "INSERT OR REPLACE INTO identities (issuer, subject, user_id, linked_at) VALUES (?, ?, ?, ?)",
    );
    this.#keep = db.prepare(
      "INSERT OR IGNORE INTO identities (issuer, subject, user_id, linked_at) VALUES (?, ?, ?, ?)",
    );
    this.#revokeBefore = db.prepare(
      `UPDATE users SET jwts_revoked_before = max(?, coalesce(jwts_revoked_before, 0))
       WHERE id = ? RETURNING jwts_revoked_before AS revokedBefore`,
    );
    this.#revokeAll = db.prepare("UPDATE users SET jwts_revoked_before = ?");
  }

  /** The user whom this subject is linked to; null where that one was removed, undefined where it is linked to nobody. */
  find(issuer: string, subject: string): SubjectRow | null | undefined {
    const row = this.#find.get(issuer, subject);
    if (row === undefined) return undefined;
    return row.userId === null ? null : (this.#userById.get(row.userId) ?? null);
  }

  findByName(name: string): SubjectRow | undefined {
    return this.#userByName.get(name);
  }

  list(userId: number): IdentityRow[] {
    return this.#list.all(userId);
  }

  /** In the place of whomever the subject was linked to. */
  link(issuer: string, subject: string, userId: number, at: number): void {
    this.#link.run(issuer, subject, userId, at);
  }

  /** As `link`, where the subject is linked to nobody and never was. */
  keep(issuer: string, subject: string, userId: number, at: number): void {
    this.#keep.run(issuer, subject, userId, at);
  }

  /** Never earlier than it was; returns what is in force. */
  revokeBefore(userId: number, at: number): number {
    return this.#revokeBefore.get(at, userId)!.revokedBefore;
  }

  /** As `revokeBefore` for every user, at a time that is now. */
  revokeAll(at: number): void {
    this.#revokeAll.run(at);
  }
}
