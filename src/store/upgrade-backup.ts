import { closeSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import type Database from "better-sqlite3";
import { preparePrivateFile } from "./data-dir.ts";

/**
 * A copy of the database beside it (0600), before a migration changes what an earlier version could
 * read: `FILE.schema-VERSION-TIME`. It is whole and on the disk when this returns its path. Throws
 * what SQLite or the file system throws, and leaves no copy then.
 */
export function backUpForUpgrade(db: Database.Database, file: string, version: number): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const copy = `${file}.schema-${version}-${time}`;
  const draft = `${copy}.new`;
  // SQLite fills an empty file, and would make one with the mode that the umask leaves.
  preparePrivateFile(draft);
  try {
    db.prepare("VACUUM INTO ?").run(draft);
    syncPath(draft);
    renameSync(draft, copy);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
  syncPath(path.dirname(copy));
  return copy;
}

function syncPath(place: string): void {
  const handle = openSync(place, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
