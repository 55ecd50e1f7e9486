import { rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import type { DroppedKey, KeyringStatus, RotatedKeyring } from "../api/types.ts";
import type { Config } from "../config/config.ts";
import { SupervisorError, counted, isClosed } from "../errors.ts";
import type { VaultKey } from "../vault/key-list.ts";
import { apiPath, createControlClient } from "./client.ts";
import type { ControlClient } from "./client.ts";
import { answer, globalsOf } from "./output.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { viewHere } from "./view.ts";

/** Loaded when a command runs, because the other commands need neither config nor database. */
const load = async (command: Command) => {
  const [{ loadConfig }, offline, files, list, disk] = await Promise.all([
    import("../config/config.ts"),
    import("./offline.ts"),
    import("../vault/key-file.ts"),
    import("../vault/key-list.ts"),
    import("../platform/atomic-file.ts"),
  ]);
  const config = loadConfig({ path: globalsOf(command).config });
  return {
    config,
    client: createControlClient(config.controlSocket),
    ...offline,
    ...files,
    ...list,
    ...disk,
  };
};
type Loaded = Awaited<ReturnType<typeof load>>;

/** What the daemon says of its keys; undefined where none runs. */
async function statusOf(client: ControlClient): Promise<KeyringStatus | undefined> {
  try {
    return await client.call<KeyringStatus>("GET", apiPath(["keyring"]));
  } catch (error) {
    const isDown =
      error instanceof SupervisorError &&
      error.code === "DAEMON_UNREACHABLE" &&
      !isClosed(error.cause);
    if (isDown) return undefined;
    throw error;
  }
}

/** The file behind the credential of the service, which only root can change. */
function fileOfService(loaded: Loaded, config: Config): string {
  const file = loaded.keyFileHere(config);
  if (process.geteuid?.() !== 0 || file === config.keyFile)
    throw loaded.refuseKeyFile(
      config.keyFile,
      "is handed to the daemon by the service manager",
      file === config.keyFile
        ? "no unit of this program names its file; change the file that your unit names, and restart"
        : `run this as root: it changes ${file}, which the unit names`,
    );
  return file;
}

async function status(_options: object, command: Command): Promise<void> {
  const { config, client, withVault } = await load(command);
  const found =
    (await statusOf(client)) ?? (await withVault(config, ({ vault }) => vault.keyring.status()));
  const { keys, left, keyFile, isResealing } = found;
  const stateOf = ({ id, rows }: KeyringStatus["keys"][number]): string =>
    id === keys[0]?.id ? "seals" : rows === 0 ? "can be dropped" : "opens";
  const columns: readonly Column<KeyringStatus["keys"][number]>[] = [
    { title: "KEY", cell: ({ id }) => String(id) },
    { title: "ROWS", cell: ({ rows }) => String(rows) },
    { title: "STATE", cell: stateOf },
  ];
  const waits = `${counted(left, "row")} of older keys ${left === 1 ? "is" : "are"} left`;
  const state = isResealing ? "being sealed anew now" : "a start of the daemon goes on with them";
  answer(command, found, [
    `Keys in ${keyFile}:`,
    ...table(columns, keys, viewHere()),
    left === 0 ? "Every row is sealed with the newest key." : `${waits}; ${state}.`,
  ]);
}

/** The newest key of the unit's file where the daemon lacks it, else a new one that is put there first. */
async function handOver(loaded: Loaded, had: KeyringStatus): Promise<number> {
  const { config, client, asOwnerOf, requireKeys, addToKeyFile, formatKey } = loaded;
  const file = fileOfService(loaded, config);
  const keys = await asOwnerOf(file, () => {
    const found = requireKeys(file);
    // Killed between the file and the daemon, the last time.
    return found[0]!.id > (had.keys[0]?.id ?? 0) ? found : addToKeyFile(file);
  });
  const body = { key: formatKey(keys[0]!) };
  for (const { bytes } of keys) bytes.fill(0);
  return (await client.call<RotatedKeyring>("POST", apiPath(["keyring", "rotate"]), body)).id;
}

async function rotateHere({ config, withDataDir, asOwnerOf, ...loaded }: Loaded): Promise<number> {
  return await withDataDir(config, async (open) => {
    // First of all that the keys of now are the right ones, and that the rows can be sealed anew.
    await open(({ vault }) => vault.keyring.requireWritable());
    const file = loaded.keyFileHere(config);
    const keys = await asOwnerOf(file, () => loaded.addToKeyFile(file));
    const { id } = keys[0]!;
    for (const { bytes } of keys) bytes.fill(0);
    await open(async ({ vault }) => {
      vault.keyring.resume();
      await vault.keyring.resealed();
    });
    return id;
  });
}

/**
 * Lets no other command change the key file meanwhile, where `work` does so itself; the daemon changes
 * its own. `work` is told what is so by then.
 */
async function whoeverWrites<T>(
  loaded: Loaded,
  work: (had: KeyringStatus | undefined) => Promise<T>,
): Promise<T> {
  const { config, client, aloneWithKeys } = loaded;
  const had = await statusOf(client);
  if (had !== undefined && !had.isCredential) return await work(had);
  if (had !== undefined) fileOfService(loaded, config);
  return await aloneWithKeys(config, async () => await work(await statusOf(client)));
}

async function rotate(_options: object, command: Command): Promise<void> {
  const loaded = await load(command);
  const { client } = loaded;
  const order = async (): Promise<number> =>
    (await client.call<RotatedKeyring>("POST", apiPath(["keyring", "rotate"]))).id;
  const { id, isServed } = await whoeverWrites(loaded, async (had) => ({
    id:
      had === undefined
        ? await rotateHere(loaded)
        : had.isCredential
          ? await handOver(loaded, had)
          : await order(),
    isServed: had !== undefined,
  }));
  answer(command, { id } satisfies RotatedKeyring, [
    `The key ${id} is in the key file, and seals from now on.`,
    isServed
      ? "Older rows are being sealed anew; `mcp-supervisor keyring status` shows how many are left."
      : "Every row that opened is sealed with it.",
    "Keep a copy of the key file: backups made from now on need the new key, those made before an old one.",
  ]);
}

/** Writes the key into a file of its own, which must not be there. */
function keep(
  { formatKeys, writeNewFile, syncToDisk }: Loaded,
  { key, keepIn }: { key: VaultKey; keepIn: string },
): void {
  try {
    writeNewFile(keepIn, { text: formatKeys([key]), mode: 0o400 });
    syncToDisk(dirname(keepIn));
  } catch (cause) {
    const { code = "unknown reason" } = cause as NodeJS.ErrnoException;
    if (code !== "EEXIST") rmSync(keepIn, { force: true });
    throw new SupervisorError("USAGE", `--keep-in: the file cannot be made (${code})`, { cause });
  }
}

/** Keeps the key in a file of its own before it is dropped; nothing is kept of what was not dropped. */
async function kept(
  loaded: Loaded,
  { file, id, keepIn }: { file: string; id: number; keepIn: string },
  work: () => Promise<void>,
): Promise<void> {
  const find = async (use: (key: VaultKey | undefined) => void): Promise<void> => {
    const keys = await loaded.asOwnerOf(file, () => loaded.requireKeys(file));
    try {
      use(keys.find((one) => one.id === id));
    } finally {
      for (const { bytes } of keys) bytes.fill(0);
    }
  };
  await find((key) => {
    if (key === undefined)
      throw new SupervisorError("KEY_NOT_FOUND", `${file} does not hold the key ${id}`);
    keep(loaded, { key, keepIn });
  });
  try {
    await work();
  } catch (error) {
    // An order whose answer was lost may have been carried out: then this file alone has the key.
    await find((key) => key === undefined || rmSync(keepIn));
    throw error;
  }
}

/** Orders the daemon to forget the key, and takes it out of the file that the daemon cannot write. */
async function dropThere(loaded: Loaded, had: KeyringStatus, id: number): Promise<void> {
  const { config, client, asOwnerOf, removeFromKeyFile } = loaded;
  const file = had.isCredential ? fileOfService(loaded, config) : undefined;
  const isGone = file !== undefined && had.keys.every((key) => key.id !== id);
  // Killed between the daemon and the file, the last time.
  if (!isGone) await client.call<DroppedKey>("DELETE", apiPath(["keyring", "keys", String(id)]));
  if (file !== undefined) await asOwnerOf(file, () => removeFromKeyFile(file, id));
}

async function dropHere(loaded: Loaded, id: number): Promise<void> {
  const { config, withDataDir, asOwnerOf, removeFromKeyFile } = loaded;
  await withDataDir(config, async (open) => {
    await open(({ vault }) => vault.keyring.forget(id));
    const file = loaded.keyFileHere(config);
    await asOwnerOf(file, () => removeFromKeyFile(file, id));
  });
}

async function drop(
  text: string,
  { keepIn }: { keepIn?: string },
  command: Command,
): Promise<void> {
  if (!/^\d{1,10}$/.test(text))
    throw new SupervisorError("USAGE", "the key is named by its number; keyring status shows them");
  const id = Number(text);
  const loaded = await load(command);
  await whoeverWrites(loaded, async (had) => {
    const work = async (): Promise<void> =>
      await (had === undefined ? dropHere(loaded, id) : dropThere(loaded, had, id));
    if (keepIn === undefined) return await work();
    const isOwn = had !== undefined && !had.isCredential;
    const file = isOwn ? had.keyFile : loaded.keyFileHere(loaded.config);
    return await kept(loaded, { file, id, keepIn: resolve(keepIn) }, work);
  });
  answer(command, { id } satisfies DroppedKey, [
    `The key ${id} is dropped.`,
    keepIn === undefined
      ? `Backups made before need it too: without a copy of the key ${id} they cannot be restored.`
      : `Backups made before need it too: it is in ${keepIn}.`,
  ]);
}

export function addKeyringCommands(program: Command): void {
  const keyring = program
    .command("keyring")
    .description("change the key that seals the tokens; needs no daemon");
  keyring
    .command("status")
    .description("show the keys, and how many rows each has sealed")
    .addHelpText("after", "\nExample:\n  mcp-supervisor keyring status")
    .action(status);
  keyring
    .command("rotate")
    .description("make a new key, seal with it from now on, and the rest anew behind the traffic")
    .addHelpText("after", "\nExample:\n  mcp-supervisor keyring rotate")
    .action(rotate);
  keyring
    .command("drop")
    .description("remove an old key that no row needs; backups made before still need it")
    .argument("<id>", "the number of the key")
    .option("--keep-in <file>", "first write the key into this file (0400), for those backups")
    .addHelpText("after", "\nExample:\n  mcp-supervisor keyring drop 0 --keep-in ./vault-key-0")
    .action(drop);
}
