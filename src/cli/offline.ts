import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { lockDataDir, lockKeyring } from "../store/lock.ts";
import { DATABASE_FILE, openHeldDataDir } from "../store/store.ts";
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

interface Opened {
  vault: Vault;
  store: Store;
}

type Work<T> = (opened: Opened) => T | Promise<T>;

/** The database and its vault in a data folder that this process has taken. */
async function openHeld<T>(config: Config, work: Work<T>): Promise<T> {
  const keyFile = keyFileHere(config);
  const keys = existsSync(keyFile)
    ? await asOwnerOf(keyFile, () => requireKeys(keyFile))
    : undefined;
  return await asOwnerOf(config.dataDir, async () => {
    const store = openHeldDataDir(config.dataDir);
    try {
      // Nobody waits while rows are sealed anew here.
      const vault = openVault({ keyFile, store, keys, restFactor: 0 });
      try {
        return await work({ vault, store });
      } finally {
        await vault.close();
      }
    } finally {
      store.close();
    }
  });
}

/**
 * Takes the data folder while `work` lasts, which opens the database and its vault as often as it
 * wants: no daemon starts in between. ALREADY_RUNNING where one has the folder, else as `openVault`
 * rejects.
 */
export async function withDataDir<T>(
  config: Config,
  work: (open: <U>(use: Work<U>) => Promise<U>) => Promise<T>,
): Promise<T> {
  const { dataDir } = config;
  requireDatabase(config);
  const lock = await asOwnerOf(dataDir, () => lockDataDir(dataDir));
  try {
    return await work(async (use) => await openHeld(config, use));
  } finally {
    lock.release();
  }
}

/** As `withDataDir`, for work that opens them once. */
export async function withVault<T>(config: Config, work: Work<T>): Promise<T> {
  return await withDataDir(config, async (open) => await open(work));
}

/** Lets no other command change the key file while `work` lasts. ALREADY_RUNNING where one does. */
export async function aloneWithKeys<T>(config: Config, work: () => Promise<T>): Promise<T> {
  const { dataDir } = config;
  requireDatabase(config);
  const lock = await asOwnerOf(dataDir, () => lockKeyring(dataDir));
  try {
    return await work();
  } finally {
    lock.release();
  }
}
