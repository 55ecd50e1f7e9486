import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { DATABASE_FILE, openDataDir } from "../store/store.ts";
import type { Store } from "../store/store.ts";
import { requireKeys } from "../vault/key-file.ts";
import { openVault } from "../vault/vault.ts";
import type { Vault } from "../vault/vault.ts";
import { keyFileOf, serviceOf } from "./service/installed.ts";

/**
 * As the account that owns `path` where this is root's process: what root makes in the daemon's folder
 * the daemon could not open, and what is another account's key root refuses to use.
 */
export async function asOwnerOf<T>(path: string, work: () => T | Promise<T>): Promise<T> {
  const { uid, gid } = statSync(path);
  if (process.geteuid?.() !== 0 || uid === 0) return await work();
  process.setegid!(gid);
  process.seteuid!(uid);
  try {
    return await work();
  } finally {
    process.seteuid!(0);
    process.setegid!(0);
  }
}

/** The key file that the daemon of this config has, whoever asks. */
export const keyFileHere = (config: Config): string => keyFileOf(config, serviceOf(config));

/** NOT_FOUND where no daemon has made a database yet: the commands that need one make none. */
function requireDatabase({ dataDir }: Pick<Config, "dataDir">): string {
  const file = join(dataDir, DATABASE_FILE);
  if (existsSync(file)) return file;
  throw new SupervisorError("NOT_FOUND", `${file}: there is no database yet`);
}

/**
 * The database and its vault without a daemon; `work` has both for itself. ALREADY_RUNNING where a
 * daemon has them, else as `openDataDir` and `openVault` reject.
 */
export async function withVault<T>(
  config: Config,
  work: (opened: { vault: Vault; store: Store }) => T | Promise<T>,
): Promise<T> {
  requireDatabase(config);
  const keyFile = keyFileHere(config);
  const keys = existsSync(keyFile)
    ? await asOwnerOf(keyFile, () => requireKeys(keyFile))
    : undefined;
  return await asOwnerOf(config.dataDir, async () => {
    const opened = openDataDir(config.dataDir);
    const { store } = opened;
    try {
      const vault = openVault({ keyFile, store, keys });
      try {
        return await work({ vault, store });
      } finally {
        await vault.close();
      }
    } finally {
      opened.close();
    }
  });
}
