import type { Preparer, Query } from "./connection.ts";

/** Rows of `secrets`, sealed. */
export class SecretRows {
  readonly #find: Query<{ box: Buffer }>;
  readonly #add: Query<never>;
  readonly #names: Query<{ name: string }>;
  readonly #delete: Query<never>;

  constructor(db: Preparer) {
    this.#find = db.prepare("SELECT box FROM secrets WHERE name = ?");
    this.#add = db.prepare("INSERT INTO secrets (name, box) VALUES (?, ?)");
    this.#names = db.prepare("SELECT name FROM secrets ORDER BY name");
    this.#delete = db.prepare("DELETE FROM secrets WHERE name = ?");
  }

  find(name: string): Buffer | undefined {
    return this.#find.get(name)?.box;
  }

  add(name: string, box: Buffer): void {
    this.#add.run(name, box);
  }

  names(): string[] {
    return this.#names.all().map(({ name }) => name);
  }

  delete(name: string): void {
    this.#delete.run(name);
  }
}
