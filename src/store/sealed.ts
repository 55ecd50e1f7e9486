import type { Preparer, Query } from "./connection.ts";

/** A column of boxes that the vault has sealed. */
export interface SealedColumn {
  table: string;
  /** The columns of its primary key, in their order. */
  key: readonly string[];
  column: string;
  /** What a row's box is bound to, in SQL: the text that it was sealed for. */
  place: string;
}

/** The values of a primary key. */
export type RowKey = readonly (string | number)[];

export interface SealedHead {
  key: RowKey;
  /** The first bytes of the box, which say what sealed it. */
  head: Buffer;
}

/** As many bytes of a box as `SealedHead` shows. */
export const HEAD_BYTES = 5;

/** The boxes of one column, to be gone through from one key of the table to the next. */
export class SealedRows {
  readonly #first: Query<unknown[]>;
  readonly #next: Query<unknown[]>;
  readonly #find: Query<unknown[]>;
  readonly #replace: Query<never>;
  readonly #heads: Query<unknown[]>;

  constructor(db: Preparer, { table, key, column, place }: SealedColumn) {
    const columns = key.join(", ");
    const marks = key.map(() => "?").join(", ");
    const head = `substr(${column}, 1, ${HEAD_BYTES})`;
    const page = `ORDER BY ${columns} LIMIT ?`;
    // As text: thousands of small blobs would each be memory of its own, outside of the heap.
    const heads = `SELECT hex(${head}), ${columns} FROM ${table}`;
    this.#first = db.prepareRaw(`${heads} ${page}`);
    this.#next = db.prepareRaw(`${heads} WHERE (${columns}) > (${marks}) ${page}`);
    const one = `(${columns}) = (${marks})`;
    this.#find = db.prepareRaw(`SELECT ${column}, ${place} FROM ${table} WHERE ${one}`);
    this.#replace = db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${one}`);
    this.#heads = db.prepareRaw(`SELECT DISTINCT ${head} FROM ${table}`);
  }

  /** The rows behind this key, or the first ones. */
  after(key: RowKey | undefined, limit: number): SealedHead[] {
    const rows = key === undefined ? this.#first.all(limit) : this.#next.all(...key, limit);
    return rows.map(([head, ...of]) => ({
      head: Buffer.from(head as string, "hex"),
      key: of as unknown as RowKey,
    }));
  }

  find(key: RowKey): { box: Buffer; place: string } | undefined {
    const row = this.#find.get(...key);
    return row && { box: row[0] as Buffer, place: row[1] as string };
  }

  replace(key: RowKey, box: Buffer): void {
    this.#replace.run(box, ...key);
  }

  /** How the boxes of all rows begin, each beginning once. */
  distinctHeads(): Buffer[] {
    return this.#heads.all().map(([head]) => head as Buffer);
  }
}
