import path from "node:path";
import Database from "better-sqlite3";
import { SupervisorError } from "../errors.ts";
import { prepareDataDir, preparePrivateFile } from "./data-dir.ts";
import { storeFailure } from "./failure.ts";

// A connection that nothing refers to is closed by the garbage collector, and its lock with it.
const heldByThisProcess = new Set<Database.Database>();

/**
 * Takes the data folder for this process until `release`, and makes it where it is missing.
 * ALREADY_RUNNING where another daemon has it; CONFIG_INVALID where other accounts may write in it.
 *
 * The lock is an open exclusive transaction on a database of its own: the kernel frees it however the
 * process ends, so there is no stale lock after kill -9, and children do not inherit it.
 */
export function lockDataDir(dataDir: string): { release(): void } {
  prepareDataDir(dataDir);
  const file = path.join(dataDir, "daemon.lock");
  preparePrivateFile(file);
  const lock = new Database(file, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY"))
      throw new SupervisorError(
        "ALREADY_RUNNING",
        `${dataDir}: another daemon runs on this folder`,
      );
    throw storeFailure(error);
  }
  heldByThisProcess.add(lock);
  return {
    release: () => {
      heldByThisProcess.delete(lock);
      lock.close();
    },
  };
}
