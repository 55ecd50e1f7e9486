import { existsSync, rmSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { SupervisorError, counted, shortageOf } from "../errors.ts";
import type { Store } from "../store/store.ts";
import type { VaultKey } from "../vault/key-list.ts";
import { answer, globalsOf, instant } from "./output.ts";

const load = async (command: Command) => {
  const [
    { loadConfig },
    offline,
    store,
    files,
    requirements,
    audit,
    { newRequestId },
    lock,
    service,
  ] = await Promise.all([
    import("../config/config.ts"),
    import("./offline.ts"),
    import("../store/store.ts"),
    import("../vault/key-file.ts"),
    import("../vault/requirements.ts"),
    import("../audit/audit.ts"),
    import("../http/request-id.ts"),
    import("../store/lock.ts"),
    import("./service/installed.ts"),
  ]);
  const config = loadConfig({ path: globalsOf(command).config });
  return {
    config,
    ...offline,
    ...store,
    ...files,
    ...requirements,
    ...audit,
    ...lock,
    ...service,
    newRequestId,
  };
};
type Loaded = Awaited<ReturnType<typeof load>>;

export interface Restored {
  dataDir: string;
  /** Epoch ms; null for a copy that `backup` did not make. */
  madeAt: number | null;
  users: number;
  /** Access keys that open something now. */
  keys: number;
  tokens: number;
  /** By `--revoke-keys`. */
  revoked: number;
}

const ownerOf = (loaded: Loaded, path: string): typeof loaded.asOwnerOf =>
  existsSync(path) ? loaded.asOwnerOf : async (_path, work) => await work();

/** RESTORE_REFUSED for a folder with a database, ALREADY_RUNNING for one that a daemon has. */
async function requireEmpty(loaded: Loaded, { dataDir }: Config): Promise<void> {
  const { lockDataDir, hasDatabase, asOwnerOf } = loaded;
  // Only where a daemon was before: nothing may be written yet.
  if (existsSync(join(dataDir, "daemon.lock")))
    await asOwnerOf(dataDir, () => lockDataDir(dataDir).release());
  if (hasDatabase(dataDir))
    throw new SupervisorError("RESTORE_REFUSED", `${dataDir}: there is a database in it`, {
      details: ["move the folder away first; the key file may be in it, and is needed"],
    });
  const user = loaded.serviceOf(loaded.config)?.user;
  if (!existsSync(dataDir) && user !== undefined && process.geteuid?.() === 0)
    throw new SupervisorError(
      "RESTORE_REFUSED",
      `${dataDir} is missing, and ${user} could not write to one that root makes`,
      {
        details: [`first: install -d -m 700 -o ${user} '${dataDir}'`],
      },
    );
}

async function readKeys(loaded: Loaded, keyFile: string): Promise<VaultKey[]> {
  const { requireKeys } = loaded;
  return await ownerOf(loaded, keyFile)(keyFile, () => requireKeys(keyFile));
}

/** Everything that can be wrong with the backup or the key, before anything is written. */
async function examine(loaded: Loaded, file: string): Promise<Omit<Restored, "revoked">> {
  const { config, DatabaseCopy, requireKeysOf, requireAllToOpen, openerOf } = loaded;
  const copy = new DatabaseCopy(file);
  try {
    copy.requireIntegrity();
    const keyFile = loaded.keyFileHere(config);
    const keys = await readKeys(loaded, keyFile);
    try {
      requireKeysOf(copy, { keyFile, keys });
      await requireAllToOpen(copy, openerOf(keys));
    } finally {
      for (const { bytes } of keys) bytes.fill(0);
    }
    return { dataDir: config.dataDir, madeAt: copy.madeAt, ...copy.count(Date.now()) };
  } finally {
    copy.close();
  }
}

async function fill(source: FileHandle, draft: string): Promise<void> {
  try {
    const target = await open(draft, "wx", 0o600);
    try {
      await target.chmod(0o600);
      const from = source.createReadStream({ autoClose: false, start: 0 });
      await target.writeFile(from);
    } finally {
      await target.close();
    }
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    throw (
      shortageOf(error, "the database cannot be written") ??
      new SupervisorError("RESTORE_REFUSED", `the database cannot be written (${code})`, {
        cause: error,
      })
    );
  }
}

/** The restore itself as an order of an admin, and the revocation of what came back with it. */
function change({ newRequestId, orderRow }: Loaded, revokeKeys: boolean): (store: Store) => number {
  return (store) => {
    const who = `uid ${process.getuid?.() ?? "?"}`;
    const order = { user: null, server: null, requestId: newRequestId(), who, durationMs: 0 };
    // What was used, or ended, since the backup would be good again.
    store.invites.deleteAll();
    store.browserSessions.deleteAll();
    store.grants.markRestored();
    const revoked = revokeKeys ? store.accessKeys.revokeAll(Date.now()) : 0;
    if (revokeKeys) store.identities.revokeAll(Date.now());
    const what = revokeKeys ? "restore --revoke-keys" : "restore";
    store.audit.insertAll([orderRow({ what, ...order }, undefined)]);
    return revoked;
  };
}

/** RESTORE_REFUSED for a pipe, which cannot be gone through twice, and of which the end may never come. */
function requireFile(name: string): string {
  const file = resolve(name);
  const status = statSync(file, { throwIfNoEntry: false });
  const isMeant = status === undefined ? name !== "-" : status.isFile();
  if (isMeant) return file;
  throw new SupervisorError("RESTORE_REFUSED", `${name}: is not a file`, {
    details: ["write the backup into a file first, and name that"],
  });
}

/** What tells one state of a file from another. */
const stateOf = ({ ino, size, mtimeMs }: Stats): string => [ino, size, mtimeMs].join();

/** All of it, or the folder is as it was: not there, where it was not. `seen` is what was found good. */
async function write(
  loaded: Loaded,
  { file, seen }: { file: string; seen: string },
  revokeKeys: boolean,
): Promise<number> {
  const { config, restoreDataDir } = loaded;
  const { dataDir } = config;
  const wasThere = existsSync(dataDir);
  const source = await open(file, "r");
  let revoked = 0;
  const alter = change(loaded, revokeKeys);
  try {
    await ownerOf(loaded, dataDir)(dataDir, () =>
      restoreDataDir(
        dataDir,
        async (draft) => {
          await fill(source, draft);
          if (stateOf(await source.stat()) === seen) return;
          throw new SupervisorError("RESTORE_REFUSED", `${file} was changed while it was read`);
        },
        (store) => {
          revoked = alter(store);
        },
      ),
    );
  } catch (error) {
    if (!wasThere) rmSync(dataDir, { recursive: true, force: true });
    throw error;
  } finally {
    await source.close();
  }
  return revoked;
}

function linesOf({ dataDir, madeAt, users, keys, tokens, revoked }: Restored): string[] {
  const since = madeAt === null ? "the backup was made" : instant(madeAt);
  return [
    `${dataDir} is as it was when ${madeAt === null ? since : `the backup was made, ${since}`}: ${counted(users, "user")}, ${counted(tokens, "token")}.`,
    revoked > 0
      ? `Every access key is revoked (${revoked}): \`mcp-supervisor key issue NAME\` makes a new one.`
      : `${counted(keys, "access key")} open${keys === 1 ? "s" : ""} what ${keys === 1 ? "it" : "they"} opened then, also those that were revoked since; \`restore --revoke-keys\` revokes them all.`,
    "Back are also users that were removed or disabled, and tokens that were changed or cleared since.",
    "Next: start the daemon, and look at `mcp-supervisor user list`.",
  ];
}

async function restore(
  name: string,
  { revokeKeys = false }: { revokeKeys?: boolean },
  command: Command,
): Promise<void> {
  const loaded = await load(command);
  const file = requireFile(name);
  await requireEmpty(loaded, loaded.config);
  const seen = existsSync(file) ? stateOf(statSync(file)) : "";
  const found = await examine(loaded, file);
  const revoked = await write(loaded, { file, seen }, revokeKeys);
  const restored: Restored = { ...found, keys: revokeKeys ? 0 : found.keys, revoked };
  answer(command, restored, linesOf(restored));
}

export function addRestoreCommand(program: Command): void {
  program
    .command("restore")
    .description("make the database of an empty data folder from a backup; needs no daemon")
    .argument("<file>", "what `backup` has made; the key file must be in its place")
    .option("--revoke-keys", "revoke every access key in it, and the JWTs that are out")
    .addHelpText("after", "\nExample:\n  mcp-supervisor restore /mnt/backup/mcp-2026-11-29.db")
    .action(restore);
}
