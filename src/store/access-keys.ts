import type { Connection, Query } from "./connection.ts";
import type { UserState } from "./users.ts";

export interface AccessKeyRow {
  id: string;
  userId: number;
  prefix: string;
  label: string | null;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
}

/** An access key with whose it is. */
export interface OwnedKeyRow extends AccessKeyRow {
  user: string;
  userState: UserState;
}

const COLUMNS = `access_keys.id, user_id AS userId, prefix, label, access_keys.created_at AS createdAt,
  expires_at AS expiresAt, revoked_at AS revokedAt`;
const OWNED = `SELECT ${COLUMNS}, users.name AS user, users.state AS userState
  FROM access_keys JOIN users ON users.id = user_id`;

/** Rows of `access_keys`. */
export class AccessKeyRows {
  readonly #insert: Query<never>;
  readonly #find: Query<OwnedKeyRow>;
  readonly #findByHash: Query<OwnedKeyRow>;
  readonly #list: Query<AccessKeyRow>;
  readonly #listAll: Query<OwnedKeyRow>;
  readonly #expiring: Query<OwnedKeyRow>;
  readonly #revoke: Query<never>;
  readonly #change: Query<never>;
  readonly #deleteAll: Query<never>;
  readonly #revokeAll: Query<never>;

  constructor(db: Connection) {
    this.#insert = db.prepare(
      `INSERT INTO access_keys (id, user_id, hash, prefix, label, created_at, expires_at)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#find = db.prepare(`${OWNED} WHERE access_keys.id = ?`);
    this.#findByHash = db.prepare(`${OWNED} WHERE hash = ?`);
    this.#list = db.prepare(
      `SELECT ${COLUMNS} FROM access_keys WHERE user_id = ? ORDER BY created_at, id`,
    );
    this.#listAll = db.prepare(
      `${OWNED} WHERE revoked_at IS NULL ORDER BY users.name, access_keys.id`,
    );
    this.#expiring = db.prepare(
      `${OWNED} WHERE revoked_at IS NULL AND expires_at > ? AND expires_at <= ?
       ORDER BY expires_at, access_keys.id`,
    );
    this.#revoke = db.prepare(
      "UPDATE access_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL",
    );
    this.#revokeAll = db.prepare("UPDATE access_keys SET revoked_at = ? WHERE revoked_at IS NULL");
    this.#change = db.prepare("UPDATE access_keys SET label = ?, expires_at = ? WHERE id = ?");
    this.#deleteAll = db.prepare("DELETE FROM access_keys WHERE user_id = ?");
  }

  /** Every key there is; how many were not revoked before. */
  revokeAll(at: number): number {
    return this.#revokeAll.run(at);
  }

  insert(key: Omit<AccessKeyRow, "revokedAt">, hash: Buffer): void {
    const { id, userId, prefix, label, createdAt, expiresAt } = key;
    this.#insert.run(id, userId, hash, prefix, label, createdAt, expiresAt);
  }

  find(id: string): OwnedKeyRow | undefined {
    return this.#find.get(id);
  }

  findByHash(hash: Buffer): OwnedKeyRow | undefined {
    return this.#findByHash.get(hash);
  }

  list(userId: number): AccessKeyRow[] {
    return this.#list.all(userId);
  }

  /** Those of all users that were not revoked. */
  listAll(): OwnedKeyRow[] {
    return this.#listAll.all();
  }

  /** Those that were not revoked and expire after `from` and not after `until` (epoch ms), the next first. */
  expiring(from: number, until: number): OwnedKeyRow[] {
    return this.#expiring.all(from, until);
  }

  change(id: string, label: string | null, expiresAt: number | null): void {
    this.#change.run(label, expiresAt, id);
  }

  /** False where the key was revoked before or is not there. */
  revoke(id: string, at: number): boolean {
    return this.#revoke.run(at, id) === 1;
  }

  /** How many there were. */
  deleteAll(userId: number): number {
    return this.#deleteAll.run(userId);
  }
}
