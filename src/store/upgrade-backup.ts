import path from "node:path";
import type Database from "better-sqlite3";
import { putInPlace, syncToDisk } from "../platform/atomic-file.ts";
import { onDisk, preparePrivateFile } from "./data-dir.ts";

/**
 * A copy of the database beside it (0600), before a migration changes what an earlier version could
 * read: `FILE.schema-VERSION-TIME`. It is whole and on the disk when this returns its path. Throws
 * STORE_FAILED or what SQLite throws, and leaves no copy then.
 */
export function backUpForUpgrade(db: Database.Database, file: string, version: number): string {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const copy = `${file}.schema-${version}-${time}`;
  onDisk(copy, () => {
    putInPlace(copy, (draft) => {
      // SQLite fills an empty file, and would make one with the mode that the umask leaves.
      preparePrivateFile(draft);
      db.prepare("VACUUM INTO ?").run(draft);
      syncToDisk(draft);
    });
    syncToDisk(path.dirname(copy));
  });
  return copy;
}
