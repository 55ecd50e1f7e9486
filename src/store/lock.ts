import path from "node:path";
import Database from "better-sqlite3";
import { SupervisorError } from "../errors.ts";
import { prepareDataDir, preparePrivateFile } from "./data-dir.ts";
import { storeFailure } from "./failure.ts";

/** What is held until `release`. */
export interface Lock {
  release(): void;
}

// A connection that nothing refers to is closed by the garbage collector, and its lock with it.
const heldByThisProcess = new Set<Database.Database>();

/**
 * Takes the data folder for this process until `release`, and makes it where it is missing.
 * ALREADY_RUNNING where another daemon has it; CONFIG_INVALID where other accounts may write in it.
 */
export function lockDataDir(dataDir: string): Lock {
  prepareDataDir(dataDir);
  return hold(path.join(dataDir, "daemon.lock"), `${dataDir}: another daemon runs on this folder`);
}

/** As `lockDataDir`, for a change of the key file by a command: two at once could lose one another's key. */
export function lockKeyring(dataDir: string): Lock {
  return hold(path.join(dataDir, "keyring.lock"), "another command is changing the keys");
}

/**
 * The lock is an open exclusive transaction on a database of its own: the kernel frees it however the
 * process ends, so there is no stale lock after kill -9, and children do not inherit it.
 */
function hold(file: string, refusal: string): Lock {
  preparePrivateFile(file);
  const lock = new Database(file, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    lock.close();
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY"))
      throw new SupervisorError("ALREADY_RUNNING", refusal);
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
