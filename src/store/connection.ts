import Database from "better-sqlite3";
import { SupervisorError } from "../errors.ts";
import { preparePrivateFile } from "./data-dir.ts";
import { storeFailure } from "./failure.ts";
import { MIGRATIONS } from "./migrations.ts";
import { backUpForUpgrade } from "./upgrade-backup.ts";

type Value = string | number | Buffer | null;

/** A prepared statement whose failures are ours. */
export interface Query<Row> {
  /** How many rows changed. */
  run(...values: Value[]): number;
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
}

/** What rows are read and written through. */
export interface Preparer {
  prepare: <Row = never>(sql: string) => Query<Row>;
  /** As `prepare`; each row is the list of its values. */
  prepareRaw: (sql: string) => Query<unknown[]>;
}

function queryOf<Row>(make: () => Database.Statement<Value[], Row>): Query<Row> {
  const statement = guarded(make);
  return {
    run: (...values) => guarded(() => statement.run(...values).changes),
    get: (...values) => guarded(() => statement.get(...values)),
    all: (...values) => guarded(() => statement.all(...values)),
  };
}

/** The statements of that database, with failures of ours. */
export const preparerOf = (db: Database.Database): Preparer => ({
  prepare: <Row>(sql: string) => queryOf(() => db.prepare<Value[], Row>(sql)),
  prepareRaw: (sql) => queryOf(() => db.prepare<Value[], unknown[]>(sql).raw()),
});

/** While SQLite waits for a lock the daemon stands still. Only a tool on the same file can hold one. */
const LOCK_WAIT_MS = 1000;

/** `PRAGMA synchronous`: an acknowledged write has reached the disk. */
const FULL = 2;

/** The one handle on the database file; what SQLite throws leaves it as STORE_FAILED. */
export class Connection implements Preparer {
  readonly file: string;
  readonly #db: Database.Database;
  readonly prepare: Preparer["prepare"];
  readonly prepareRaw: Preparer["prepareRaw"];
  readonly #migrations: readonly string[];
  /** What waits for the end of the transaction that is under way. */
  #afterwards: (() => void)[] = [];

  constructor(file: string, migrations: readonly string[] = MIGRATIONS) {
    this.file = file;
    this.#migrations = migrations;
    preparePrivateFile(file);
    this.#db = guarded(() => new Database(file, { timeout: LOCK_WAIT_MS }));
    ({ prepare: this.prepare, prepareRaw: this.prepareRaw } = preparerOf(this.#db));
    try {
      guarded(() => this.#setUp(file));
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  #setUp(file: string): void {
    // Before anything is written, so that a newer database stays as it is.
    const version = this.#pragma("user_version");
    const newest = this.#migrations.length;
    if (version > newest)
      throw new SupervisorError(
        "SCHEMA_TOO_NEW",
        `${file}: was written by a newer version (schema ${version}, this version knows ${newest})`,
      );
    this.#db.pragma("journal_mode = WAL");
    // Not left to the library: its default for WAL is NORMAL, which loses the last writes with the power.
    this.#db.pragma("synchronous = FULL");
    this.#db.pragma("secure_delete = ON");
    this.#db.pragma("trusted_schema = OFF");
    this.#db.pragma("foreign_keys = ON");
    // Version 0 is a file that was made a moment ago.
    if (version > 0 && version < newest) backUpForUpgrade(this.#db, file, version);
    // All of them or none. SQLite takes on a different level only with a write, so there is one in any case.
    this.#write(() => {
      for (const step of this.#migrations.slice(version)) this.#db.exec(step);
      this.#db.pragma(`user_version = ${newest}`);
    });
    this.#requireDurable(file);
  }

  /** After a write: before it the level is the one that was asked for, and not the one that is. */
  #requireDurable(file: string): void {
    const mode = this.#db.pragma("journal_mode", { simple: true });
    if (mode !== "wal" || this.#pragma("synchronous") !== FULL)
      throw new SupervisorError(
        "STORE_FAILED",
        `${file}: the file system does not let acknowledged writes be made durable`,
      );
  }

  #pragma(name: string): number {
    return Number(this.#db.pragma(name, { simple: true }));
  }

  #write<T>(work: () => T): T {
    return this.#db.transaction(work).immediate();
  }

  /**
   * All of `work`, or none of it. `work` cannot be async: the transaction would end before it. One
   * within another is a part of it.
   */
  transaction<T>(work: () => T): T {
    const isOuter = !this.#db.inTransaction;
    const waiting = this.#afterwards.length;
    let result: T;
    try {
      result = guarded(() => this.#write(work));
    } catch (error) {
      this.#afterwards.length = waiting;
      throw error;
    }
    if (isOuter) for (const tell of this.#afterwards.splice(0)) tell();
    return result;
  }

  /** Does that once the transaction that is under way is on the disk, and not where it is rolled back; at once where none is. */
  afterwards(tell: () => void): void {
    if (this.#db.inTransaction) this.#afterwards.push(tell);
    else tell();
  }

  /**
   * As `transaction`, without waiting for the disk: what it writes outlives the process, but not
   * always the power. What other transactions acknowledged is not touched by that.
   */
  relaxed<T>(work: () => T): T {
    return guarded(() => {
      this.#db.pragma("synchronous = NORMAL");
      try {
        return this.transaction(work);
      } finally {
        this.#db.pragma("synchronous = FULL");
      }
    });
  }

  /**
   * Moves what the write-ahead log holds into the file and leaves the log empty: until then it has rows
   * as they were before. False where a copy is being made, which reads the log.
   */
  emptyLog(): boolean {
    return guarded(() => {
      this.#db.pragma("busy_timeout = 0");
      try {
        const [told] = this.#db.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[];
        return told?.busy === 0;
      } finally {
        this.#db.pragma(`busy_timeout = ${LOCK_WAIT_MS}`);
      }
    });
  }

  /** Moves what the write-ahead log still holds into the file, and closes it. */
  close(): void {
    guarded(() => this.#db.close());
  }
}

export function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw storeFailure(error);
  }
}
