import Database from "better-sqlite3";
import { SupervisorError } from "../errors.ts";

/** What the admin can act on, by the beginning of SQLite's code. */
const CAUSES: readonly (readonly [string, string])[] = [
  ["SQLITE_FULL", "the disk is full"],
  ["SQLITE_IOERR", "the disk failed"],
  ["SQLITE_READONLY", "the file or its folder cannot be written"],
  ["SQLITE_CANTOPEN", "the file cannot be opened"],
  ["SQLITE_BUSY", "another process has locked it"],
  ["SQLITE_NOTADB", "the file is not a database"],
  ["SQLITE_CORRUPT", "the file is damaged"],
];

/** STORE_FAILED for a failure of SQLite, in words without any value of a row; other failures as they are. */
export function storeFailure(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const [, why] = CAUSES.find(([code]) => error.code.startsWith(code)) ?? [];
  return new SupervisorError("STORE_FAILED", `the database: ${why ?? `refused (${error.code})`}`, {
    cause: error,
  });
}
