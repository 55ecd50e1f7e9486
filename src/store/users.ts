import type { Connection, Query } from "./connection.ts";

/** `removing` lasts from the first step of a removal to the last; a daemon killed between finds it at its start. */
export type UserState = "enabled" | "disabled" | "removing";

export interface UserRow {
  id: number;
  name: string;
  state: UserState;
  createdAt: number;
}

const COLUMNS = "id, name, state, created_at AS createdAt";

/** Rows of `users`. */
export class UserRows {
  readonly #insert: Query<UserRow>;
  readonly #find: Query<UserRow>;
  readonly #list: Query<UserRow>;
  readonly #count: Query<{ users: number }>;
  readonly #setState: Query<never>;
  readonly #delete: Query<never>;

  constructor(db: Connection) {
    this.#insert = db.prepare(
      `INSERT INTO users (name, state, created_at) VALUES (?, 'enabled', ?) RETURNING ${COLUMNS}`,
    );
    this.#find = db.prepare(`SELECT ${COLUMNS} FROM users WHERE name = ?`);
    this.#list = db.prepare(`SELECT ${COLUMNS} FROM users ORDER BY name`);
    this.#count = db.prepare("SELECT count(*) AS users FROM users");
    this.#setState = db.prepare("UPDATE users SET state = ? WHERE id = ?");
    this.#delete = db.prepare("DELETE FROM users WHERE id = ?");
  }

  /** An enabled user. The name must be free. */
  insert(name: string, createdAt: number): UserRow {
    return this.#insert.get(name, createdAt)!;
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

  /** Takes the user's access keys and tokens with it. */
  delete(id: number): void {
    this.#delete.run(id);
  }
}
