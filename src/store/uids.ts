import type { Connection, Query } from "./connection.ts";

export interface UidRow {
  uid: number;
  user: string;
  server: string;
}

/** Rows of `uids`: accounts of this machine that are given to children. They outlast the user where the homes do. */
export class UidRows {
  readonly #insert: Query<never>;
  readonly #find: Query<{ uid: number }>;
  readonly #has: Query<{ uid: number }>;
  readonly #all: Query<{ uid: number }>;
  readonly #deleteOf: Query<never>;

  constructor(db: Connection) {
    this.#insert = db.prepare("INSERT INTO uids (uid, user, server) VALUES (?, ?, ?)");
    this.#find = db.prepare("SELECT uid FROM uids WHERE user = ? AND server = ?");
    this.#has = db.prepare("SELECT uid FROM uids WHERE uid = ?");
    this.#all = db.prepare("SELECT uid FROM uids");
    this.#deleteOf = db.prepare("DELETE FROM uids WHERE user = ?");
  }

  /** Neither the uid nor the user's server may have a row. */
  insert({ uid, user, server }: UidRow): void {
    this.#insert.run(uid, user, server);
  }

  find(user: string, server: string): number | undefined {
    return this.#find.get(user, server)?.uid;
  }

  isTaken(uid: number): boolean {
    return this.#has.get(uid) !== undefined;
  }

  all(): number[] {
    return this.#all.all().map(({ uid }) => uid);
  }

  deleteOf(user: string): void {
    this.#deleteOf.run(user);
  }
}
