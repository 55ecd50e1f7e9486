import { rmSync } from "node:fs";
import { join } from "node:path";
import { DATABASE_FILE, DatabaseCopy, copyDraft } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import { requireAllToOpen } from "../vault/requirements.ts";

export interface BackupParts {
  dataDir: string;
  store: Pick<Store, "copyTo">;
  keyring: Vault["keyring"];
}

/**
 * Copies the database into a file beside it, of which every box opens, and returns its path; it is the
 * caller's to remove. STORE_FAILED or DISK_FULL, and nothing is left then.
 */
export async function makeBackup({ dataDir, store, keyring }: BackupParts): Promise<string> {
  const file = copyDraft(join(dataDir, DATABASE_FILE));
  await store.copyTo(file);
  try {
    const copy = new DatabaseCopy(file);
    try {
      await requireAllToOpen(copy, (box, place) => keyring.open(box, place));
    } finally {
      copy.close();
    }
    return file;
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
}
