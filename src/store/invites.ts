import type { Connection, Query } from "./connection.ts";

/** Rows of `invites`: one for each user at most. */
export class InviteRows {
  readonly #set: Query<never>;
  readonly #find: Query<{ userId: number; user: string }>;
  readonly #expiryOf: Query<{ expiresAt: number }>;
  readonly #delete: Query<never>;
  readonly #deleteAll: Query<never>;

  constructor(db: Connection) {
    this.#set = db.prepare(
      `INSERT INTO invites (user_id, code, expires_at) VALUES (?, ?, ?)
       ON CONFLICT (user_id) DO UPDATE SET code = excluded.code, expires_at = excluded.expires_at`,
    );
    this.#find = db.prepare(
      `SELECT user_id AS userId, users.name AS user FROM invites JOIN users ON users.id = user_id
       WHERE code = ? AND expires_at > ? AND users.state = 'enabled'`,
    );
    this.#expiryOf = db.prepare(
      "SELECT expires_at AS expiresAt FROM invites WHERE user_id = ? AND code = ? AND expires_at > ?",
    );
    this.#delete = db.prepare("DELETE FROM invites WHERE user_id = ?");
    this.#deleteAll = db.prepare("DELETE FROM invites");
  }

  /** Takes the place of the one that the user had. `code` is its digest. */
  set(userId: number, code: Buffer, expiresAt: number): void {
    this.#set.run(userId, code, expiresAt);
  }

  /** Whom the code is for, once; undefined where it is for nobody, or its time is over. */
  take(code: Buffer): string | undefined {
    const found = this.#find.get(code, Date.now());
    if (found === undefined) return undefined;
    return this.#delete.run(found.userId) === 1 ? found.user : undefined;
  }

  /** Epoch ms; undefined where the user has no such code, or it is late. */
  expiryOf(userId: number, code: Buffer): number | undefined {
    return this.#expiryOf.get(userId, code, Date.now())?.expiresAt;
  }

  /** False where the user had none. */
  delete(userId: number): boolean {
    return this.#delete.run(userId) === 1;
  }

  deleteAll(): void {
    this.#deleteAll.run();
  }
}
