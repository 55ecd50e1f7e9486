import Database from "better-sqlite3";
import { SupervisorError } from "../errors.ts";

/** What the admin can act on, by the beginning of SQLite's code. */
const CAUSES: readonly (readonly [string, string])[] = [
  ["SQLITE_IOERR", "the disk failed"],
  ["SQLITE_READONLY", "the file or its folder cannot be written"],
  ["SQLITE_CANTOPEN", "the file cannot be opened"],
  ["SQLITE_BUSY", "another process has locked it"],
  ["SQLITE_NOTADB", "the file is not a database"],
  ["SQLITE_CORRUPT", "the file is damaged"],
];

/**
 * DISK_FULL for a full disk, STORE_FAILED for another failure of SQLite, in words without any value of
 * a row; other failures as they are.
 */
export function storeFailure(error: unknown, what = "the database"): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  if (error.code === "SQLITE_FULL")
    return new SupervisorError("DISK_FULL", `${what}: the disk is full`, { cause: error });
  const [, why] = CAUSES.find(([code]) => error.code.startsWith(code)) ?? [];
  return new SupervisorError("STORE_FAILED", `${what}: ${why ?? `refused (${error.code})`}`, {
    cause: error,
  });
}
