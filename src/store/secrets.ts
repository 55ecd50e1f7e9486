import type { Preparer, Query } from "./connection.ts";

/** Rows of `secrets`, sealed. */
export class SecretRows {
  readonly #find: Query<{ box: Buffer }>;
  readonly #add: Query<never>;

  constructor(db: Preparer) {
    this.#find = db.prepare("SELECT box FROM secrets WHERE name = ?");
    this.#add = db.prepare("INSERT INTO secrets (name, box) VALUES (?, ?)");
  }

  find(name: string): Buffer | undefined {
    return this.#find.get(name)?.box;
  }

  add(name: string, box: Buffer): void {
    this.#add.run(name, box);
  }
}
