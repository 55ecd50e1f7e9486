import type { Preparer, Query } from "./connection.ts";

/** Rows of `meta`: what the daemon must remember about the database itself. */
export class MetaRows {
  readonly #set: Query<never>;
  readonly #find: Query<{ value: Buffer }>;
  readonly #delete: Query<never>;
  readonly #names: Query<{ name: string }>;

  constructor(db: Preparer) {
    this.#set = db.prepare(
      "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
    );
    this.#find = db.prepare("SELECT value FROM meta WHERE name = ?");
    this.#delete = db.prepare("DELETE FROM meta WHERE name = ?");
    this.#names = db.prepare("SELECT name FROM meta ORDER BY name");
  }

  set(name: string, value: Buffer): void {
    this.#set.run(name, value);
  }

  find(name: string): Buffer | undefined {
    return this.#find.get(name)?.value;
  }

  delete(name: string): void {
    this.#delete.run(name);
  }

  names(): string[] {
    return this.#names.all().map(({ name }) => name);
  }

  /** Text by names that all begin with this word. */
  under(word: string): {
    find: (name: string) => string | undefined;
    keep: (name: string, text: string) => void;
  } {
    return {
      find: (name) => this.find(`${word} ${name}`)?.toString(),
      keep: (name, text) => this.set(`${word} ${name}`, Buffer.from(text)),
    };
  }
}
