import { closeSync, openSync, readSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import Database from "better-sqlite3";
import { SupervisorError } from "../errors.ts";
import { Connection, guarded, preparerOf } from "./connection.ts";
import type { Preparer } from "./connection.ts";
import { syncToDisk } from "../platform/atomic-file.ts";
import { onDisk, preparePrivateFile } from "./data-dir.ts";
import { storeFailure } from "./failure.ts";
import { MetaRows } from "./meta.ts";
import { MIGRATIONS } from "./migrations.ts";
import { SealedRows } from "./sealed.ts";
import type { SealedColumn } from "./sealed.ts";

const MADE_AT = "backup-made-at";
const DRAFT = ".backup-";

/** A name beside the database for a copy that goes away again; one that a crash left goes at the next start. */
export const copyDraft = (database: string): string =>
  `${database}${DRAFT}${randomBytes(6).toString("hex")}`;

/**
 * Brings a copy at `draft`, which is to become a database, up to this version, lets `work` change it,
 * and leaves it complete in the one file and on the disk. A copy from before a migration may lie beside it.
 */
export function prepareDraft(draft: string, work: (db: Connection) => void): void {
  const db = new Connection(draft);
  try {
    work(db);
  } finally {
    db.close();
  }
  syncToDisk(draft);
}

export function removeDrafts(database: string): void {
  const folder = path.dirname(database);
  const begin = `${path.basename(database)}${DRAFT}`;
  for (const name of readdirSync(folder))
    if (name.startsWith(begin)) rmSync(path.join(folder, name), { force: true });
}

/**
 * Copies the database, but no manifests and sessions, into a new file (0600) that is complete by itself, and says
 * when that was. What was acknowledged before is in it. STORE_FAILED or DISK_FULL, and there is no file
 * then. Whether it is on the disk is for the caller.
 */
export async function makeCopy(database: string, file: string): Promise<void> {
  onDisk(file, () => preparePrivateFile(file));
  try {
    await copyAside(database, file);
  } catch (error) {
    for (const end of ["", "-journal"]) rmSync(`${file}${end}`, { force: true });
    throw error;
  }
}

/**
 * In a thread of its own, with a connection of its own: at its end SQLite writes some megabytes at once
 * and waits for the disk, which would be everybody's wait on the one connection of the daemon. There
 * one statement is one state of the database, whatever is written meanwhile, and keeps no writer
 * waiting.
 */
const COPIES = `
const { parentPort, workerData } = require("node:worker_threads");
const { library, database, file, name } = workerData;
const Database = require(library);
const madeAt = String(Date.now());
try {
  const from = new Database(database, { readonly: true, timeout: 1000 });
  from.prepare("VACUUM INTO ?").run(file);
  from.close();
  const copy = new Database(file);
  // What every child shows anew after its start is not worth the room, and VACUUM alone gives it back.
  // And nobody goes on in a restored database with a session of before.
  const left = ["manifests", "sessions"].map((table) => copy.prepare("DELETE FROM " + table).run().changes);
  if (left.some((rows) => rows > 0)) copy.exec("VACUUM");
  const keep = "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value";
  copy.prepare(keep).run(name, Buffer.from(madeAt));
  copy.close();
} catch ({ message, code }) {
  parentPort.postMessage({ message, code });
}
`;

async function copyAside(database: string, file: string): Promise<void> {
  const library = createRequire(import.meta.url).resolve("better-sqlite3");
  const workerData = { library, database, file, name: MADE_AT };
  const worker = new Worker(COPIES, { eval: true, workerData });
  let failure: { message: string; code: string } | undefined;
  worker.once("message", (told: typeof failure) => (failure = told));
  await once(worker, "exit");
  if (failure !== undefined)
    throw storeFailure(
      new Database.SqliteError(failure.message, failure.code),
      `the copy in ${path.dirname(file)}`,
    );
}

/** Bytes 18 and 19 of the file are 2 where a write-ahead log belongs to it. */
function wantsLog(file: string): boolean {
  const handle = openSync(file, "r");
  try {
    const header = Buffer.alloc(20);
    readSync(handle, header, 0, header.length, 0);
    return header[18] === 2 || header[19] === 2;
  } finally {
    closeSync(handle);
  }
}

/** A copy of a database, to be looked at; nothing is written to it or beside it. */
export class DatabaseCopy {
  readonly meta: MetaRows;
  readonly #db: Database.Database;
  readonly #prepare: Preparer["prepare"];

  /** STORE_FAILED for what is no copy; SCHEMA_TOO_NEW for one of a newer version. */
  constructor(file: string) {
    if (onDisk(file, () => wantsLog(file)))
      throw new SupervisorError(
        "STORE_FAILED",
        `${file}: is the file of a daemon, of which a part may lie beside it; \`backup\` makes a whole one`,
      );
    this.#db = guarded(() => new Database(file, { readonly: true, fileMustExist: true }));
    this.#prepare = preparerOf(this.#db).prepare;
    try {
      this.#requireSchema(file);
      this.meta = new MetaRows(preparerOf(this.#db));
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  #requireSchema(file: string): void {
    const version = Number(guarded(() => this.#db.pragma("user_version", { simple: true })));
    if (version > MIGRATIONS.length)
      throw new SupervisorError(
        "SCHEMA_TOO_NEW",
        `${file}: was written by a newer version (schema ${version}, this version knows ${MIGRATIONS.length})`,
      );
    if (version < 1 || !this.#has("users"))
      throw new SupervisorError("STORE_FAILED", `${file}: is not a copy of a database of ours`);
  }

  #has(table: string): boolean {
    const find = this.#prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?");
    return find.get(table) !== undefined;
  }

  /** STORE_FAILED where SQLite finds the file damaged. Takes its time with a large one. */
  requireIntegrity(): void {
    const found = guarded(() => this.#db.pragma("integrity_check(1)", { simple: true }));
    const strays = guarded(() => this.#db.pragma("foreign_key_check") as unknown[]);
    if (found !== "ok" || strays.length > 0)
      throw new SupervisorError("STORE_FAILED", "the copy of the database is damaged");
  }

  /** The boxes of a column; undefined where the schema is older than that. */
  sealed(column: SealedColumn): SealedRows | undefined {
    return this.#has(column.table) ? new SealedRows(preparerOf(this.#db), column) : undefined;
  }

  /** Epoch ms; null for a copy that `backup` did not make. */
  get madeAt(): number | null {
    const text = this.meta.find(MADE_AT)?.toString();
    return text === undefined ? null : Number(text);
  }

  /** How much is in it; keys are those that open something now. */
  count(now: number): { users: number; keys: number; tokens: number } {
    const rows = (sql: string, ...values: number[]): number =>
      this.#prepare<{ rows: number }>(`SELECT count(*) AS rows FROM ${sql}`).get(...values)!.rows;
    return {
      users: rows("users"),
      keys: rows(
        "access_keys WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
        now,
      ),
      tokens: rows("tokens"),
    };
  }

  close(): void {
    this.#db.close();
  }
}
