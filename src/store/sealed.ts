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
  readonly #countFirst: Query<unknown[]>;
  readonly #countNext: Query<unknown[]>;
  readonly #endOfFirst: Query<unknown[]>;
  readonly #endOfNext: Query<unknown[]>;
  readonly #find: Query<unknown[]>;
  readonly #replace: Query<never>;
  readonly #heads: Query<unknown[]>;

  constructor(db: Preparer, { table, key, column, place }: SealedColumn) {
    const columns = key.join(", ");
    const marks = key.map(() => "?").join(", ");
    const head = `substr(${column}, 1, ${HEAD_BYTES})`;
    const first = `FROM ${table} ORDER BY ${columns} LIMIT ?`;
    const next = `FROM ${table} WHERE (${columns}) > (${marks}) ORDER BY ${columns} LIMIT ?`;
    // As text: thousands of small blobs would each be memory of its own, outside of the heap.
    const heads = `SELECT hex(${head}), ${columns}`;
    this.#first = db.prepareRaw(`${heads} ${first}`);
    this.#next = db.prepareRaw(`${heads} ${next}`);
    const count = (page: string): string =>
      `SELECT count(*) FROM (SELECT ${column} AS box ${page}) WHERE substr(box, 1, length(?)) = ?`;
    this.#countFirst = db.prepareRaw(count(first));
    this.#countNext = db.prepareRaw(count(next));
    this.#endOfFirst = db.prepareRaw(`SELECT ${columns} ${first} OFFSET ?`);
    this.#endOfNext = db.prepareRaw(`SELECT ${columns} ${next} OFFSET ?`);
    const one = `(${columns}) = (${marks})`;
    this.#find = db.prepareRaw(`SELECT ${column}, ${place} FROM ${table} WHERE ${one}`);
    this.#replace = db.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${one} AND ${column} = ?`);
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

  /** How many of the rows that `after` would give have boxes that begin with these bytes. Leaves no garbage. */
  countAfter(key: RowKey | undefined, limit: number, beginning: Buffer): number {
    const values = [limit, beginning, beginning] as const;
    const row =
      key === undefined ? this.#countFirst.get(...values) : this.#countNext.get(...key, ...values);
    return row![0] as number;
  }

  /** The last of the rows that `after` would give; undefined where these are fewer than `limit`. */
  lastAfter(key: RowKey | undefined, limit: number): RowKey | undefined {
    const row =
      key === undefined
        ? this.#endOfFirst.get(1, limit - 1)
        : this.#endOfNext.get(...key, 1, limit - 1);
    return row as RowKey | undefined;
  }

  find(key: RowKey): { box: Buffer; place: string } | undefined {
    const row = this.#find.get(...key);
    return row && { box: row[0] as Buffer, place: row[1] as string };
  }

  /** Puts one box in the place of another; where the row has changed meanwhile or is gone, nothing. */
  replace(key: RowKey, old: Buffer, box: Buffer): void {
    this.#replace.run(box, ...key, old);
  }

  /** How the boxes of all rows begin, each beginning once. */
  distinctHeads(): Buffer[] {
    return this.#heads.all().map(([head]) => head as Buffer);
  }
}
