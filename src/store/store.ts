/** Room: store. Rows in one SQLite file, and the lock on the folder around it. In: values, secrets only hashed or sealed. Out: rows; a write that returned is on the disk. Logs nothing, decides nothing. */
import path from "node:path";
import { AccessKeyRows } from "./access-keys.ts";
import { AuditRows } from "./audit.ts";
import { Connection } from "./connection.ts";
import { prepareDataDir } from "./data-dir.ts";
import { lockDataDir } from "./lock.ts";
import { MetaRows } from "./meta.ts";
import { SealedRows } from "./sealed.ts";
import type { SealedColumn } from "./sealed.ts";
import { TokenRows } from "./tokens.ts";
import { UidRows } from "./uids.ts";
import { UserRows } from "./users.ts";

export type { AccessKeyRow, OwnedKeyRow } from "./access-keys.ts";
export type { AuditFilter, AuditKind, AuditRow } from "./audit.ts";
export type { RowKey, SealedColumn, SealedRows } from "./sealed.ts";
export type { TokenRow } from "./tokens.ts";
export type { UserRow, UserState } from "./users.ts";

export const DATABASE_FILE = "mcp-supervisor.db";

/** All tables. Every method may reject with STORE_FAILED, and has then changed nothing. */
export class Store {
  readonly users: UserRows;
  readonly accessKeys: AccessKeyRows;
  readonly tokens: TokenRows;
  readonly meta: MetaRows;
  readonly audit: AuditRows;
  readonly uids: UidRows;
  readonly #db: Connection;

  constructor(db: Connection) {
    this.#db = db;
    this.users = new UserRows(db);
    this.accessKeys = new AccessKeyRows(db);
    this.tokens = new TokenRows(db);
    this.meta = new MetaRows(db);
    this.audit = new AuditRows(db);
    this.uids = new UidRows(db);
  }

  /** The boxes of a column; which columns there are is for the vault to say. */
  sealed(column: SealedColumn): SealedRows {
    return new SealedRows(this.#db, column);
  }

  /** All of `work`, or none of it. */
  transaction<T>(work: () => T): T {
    return this.#db.transaction(work);
  }

  close(): void {
    this.#db.close();
  }
}

/**
 * Opens the database file, makes it (0600) and its folder (0700) where they are missing, and brings
 * an older one up to date. SCHEMA_TOO_NEW for one of a newer version, CONFIG_INVALID for one that
 * other accounts could read or change, STORE_FAILED for one that cannot be used.
 */
export function openStore(file: string): Store {
  prepareDataDir(path.dirname(file));
  return new Store(new Connection(file));
}

/**
 * Takes the data folder for this process and opens its database; `close` gives both back. Throws as
 * `lockDataDir` and `openStore` do, and has then kept neither.
 */
export function openDataDir(dataDir: string): { store: Store; close(): void } {
  const lock = lockDataDir(dataDir);
  try {
    const store = openStore(path.join(dataDir, DATABASE_FILE));
    return {
      store,
      close: () => {
        store.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}
