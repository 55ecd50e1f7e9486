import { rmSync } from "node:fs";
import path from "node:path";
import { Connection } from "./connection.ts";

const SCRATCH = ".doctor.db";

/**
 * Whether acknowledged writes can be made durable in this folder: tried with a database of its own,
 * that is gone afterwards. STORE_FAILED where they cannot; the real database is not touched.
 */
export function requireDurableFolder(folder: string): void {
  const file = path.join(folder, SCRATCH);
  const clean = (): void => {
    for (const end of ["", "-wal", "-shm"]) rmSync(file + end, { force: true });
  };
  clean();
  try {
    // Writes, and reads `synchronous` and the journal mode back after the write.
    new Connection(file).close();
  } finally {
    clean();
  }
}
