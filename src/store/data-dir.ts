import Database from "better-sqlite3";
import { closeSync, constants, mkdirSync, openSync, statSync } from "node:fs";
import { SupervisorError } from "../errors.ts";

const GROUP_OR_OTHERS_WRITE = 0o022;
const GROUP_OR_OTHERS = 0o077;

/**
 * Makes the folder for the daemon's files, with mode 0700. One that exists is used as it is, but
 * rejected with CONFIG_INVALID where others may write: they could put a database of theirs in place.
 */
export function prepareDataDir(dataDir: string): void {
  const status = onDisk(dataDir, () => {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    return statSync(dataDir);
  });
  if ((status.mode & GROUP_OR_OTHERS_WRITE) !== 0)
    throw tooWide(dataDir, "other accounts may write in it", `chmod 700 '${dataDir}'`);
}

/** Makes the file with mode 0600 if it is not there; CONFIG_INVALID for one that others may read or write. */
export function preparePrivateFile(file: string): void {
  const status = onDisk(file, () => {
    // SQLite would create it with the mode that the umask leaves, and its -wal and -shm after it.
    closeSync(openSync(file, constants.O_CREAT | constants.O_RDWR, 0o600));
    return statSync(file);
  });
  if ((status.mode & GROUP_OR_OTHERS) !== 0)
    throw tooWide(file, "other accounts may read or write it", `chmod 600 '${file}'`);
}

/** STORE_FAILED for what the file system throws; what SQLite throws, or has a code already, as it is. */
export function onDisk<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof SupervisorError || error instanceof Database.SqliteError) throw error;
    const reason = (error as NodeJS.ErrnoException).code ?? "unknown reason";
    throw new SupervisorError("STORE_FAILED", `${path}: cannot be opened or made (${reason})`, {
      cause: error,
    });
  }
}

function tooWide(path: string, why: string, remedy: string): SupervisorError {
  return new SupervisorError("CONFIG_INVALID", `${path}: ${why}`, {
    details: [`look at who could have changed it, then run: ${remedy}`],
  });
}
