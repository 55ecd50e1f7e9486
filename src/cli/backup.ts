import { randomBytes } from "node:crypto";
import {
  closeSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { SupervisorError, counted, isClosed, shortageOf } from "../errors.ts";
import { apiPath, createControlClient } from "./client.ts";
import { answer, globalsOf, jsonLine } from "./output.ts";

const load = async (command: Command) => {
  const [{ loadConfig }, offline, { makeBackup }, store, disk] = await Promise.all([
    import("../config/config.ts"),
    import("./offline.ts"),
    import("../operations/backup.ts"),
    import("../store/store.ts"),
    import("../platform/atomic-file.ts"),
  ]);
  const config = loadConfig({ path: globalsOf(command).config });
  return { config, ...offline, makeBackup, ...store, ...disk };
};
type Loaded = Awaited<ReturnType<typeof load>>;

export interface Backup {
  file: string;
  bytes: number;
  users: number;
  keys: number;
  tokens: number;
  /** What is not in it, and where it lies. */
  notInIt: { keyFile: string; config: string | null; homes: string; installs: string };
}

/** `work` fills a new file of this account's (0600); the failures are told in words. */
async function fill(draft: string, work: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    const handle = await open(draft, "wx", 0o600);
    try {
      await handle.chmod(0o600);
      await work(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof SupervisorError) throw error;
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    const what = `${dirname(draft)}: the backup cannot be written there`;
    throw (
      shortageOf(error, what) ??
      new SupervisorError("BACKUP_REFUSED", `${what} (${code})`, { cause: error })
    );
  }
}

/** The copy that the daemon sends, or one that is made here where none runs. */
async function copyInto(loaded: Loaded, draft: string): Promise<void> {
  const { config, withVault, makeBackup } = loaded;
  const client = createControlClient(config.controlSocket);
  try {
    const sent = await client.fetch(apiPath(["backup"]));
    await fill(draft, (file) => file.writeFile(sent));
    if (statSync(draft).size !== Number(sent.headers["content-length"]))
      throw new SupervisorError("BACKUP_REFUSED", "the daemon did not send the whole copy");
    return;
  } catch (error) {
    const isDown =
      error instanceof SupervisorError &&
      error.code === "DAEMON_UNREACHABLE" &&
      !isClosed(error.cause);
    if (!isDown) throw error;
  }
  const { dataDir } = config;
  // Without its name, so that nothing is left of it whatever comes.
  const made = await withVault(config, async ({ store, vault: { keyring } }) => {
    const copy = await makeBackup({ dataDir, store, keyring });
    try {
      return await open(copy, "r");
    } finally {
      rmSync(copy, { force: true });
    }
  });
  try {
    await fill(draft, (file) => file.writeFile(made.createReadStream({ autoClose: false })));
  } finally {
    await made.close();
  }
}

/** Where there are no links: a file that is there is no more written over than by one. */
const KNOWS_NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** The name is taken first, and is free again where the rename fails. */
function renameToFree(draft: string, file: string): void {
  closeSync(openSync(file, "wx", 0o600));
  try {
    renameSync(draft, file);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  }
}

/** Never in the place of a file that came to be there meanwhile. */
function putInPlace({ syncToDisk }: Loaded, draft: string, file: string): void {
  try {
    try {
      linkSync(draft, file);
    } catch (error) {
      if (!KNOWS_NO_LINKS.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
      renameToFree(draft, file);
    }
    syncToDisk(dirname(file));
  } catch (cause) {
    const { code = "unknown reason" } = cause as NodeJS.ErrnoException;
    throw new SupervisorError("BACKUP_REFUSED", `${file}: cannot be made (${code})`, { cause });
  }
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Nothing is left at `place` once `work` is done, nor where a signal ends this process before. */
async function onlyWhile<T>(place: string, work: () => Promise<T>): Promise<T> {
  const remove = (): void => rmSync(place, { recursive: true, force: true });
  const removeAndEnd = (signal: NodeJS.Signals): void => {
    remove();
    process.off(signal, removeAndEnd);
    process.kill(process.pid, signal);
  };
  for (const signal of SIGNALS) process.on(signal, removeAndEnd);
  try {
    return await work();
  } finally {
    for (const signal of SIGNALS) process.off(signal, removeAndEnd);
    remove();
  }
}

/** Where the rest lies that a machine is made of. */
function elsewhere({ keyFileHere }: Loaded, config: Config): Backup["notInIt"] {
  const { dataDir, path } = config;
  return {
    keyFile: keyFileHere(config),
    config: path,
    homes: join(dataDir, "homes"),
    installs: join(dataDir, "servers"),
  };
}

function linesOf({ file, bytes, users, keys, tokens, notInIt }: Backup): string[] {
  const size =
    bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return [
    `${file}: ${size}, ${counted(users, "user")}, ${counted(keys, "access key")}, ${counted(tokens, "token")} (sealed).`,
    "Not in it, and to be kept too:",
    `  the key, without which no token opens (not beside the backup): ${notInIt.keyFile}`,
    `  the config: ${notInIt.config ?? "none"}`,
    `  what children keep: ${notInIt.homes}`,
    `  installed packages, which can be fetched again: ${notInIt.installs}`,
    "Sessions and manifests are not in it: clients begin anew, and servers show anew what they have.",
  ];
}

/** A copy at `file`, which must not be there, whole and checked or not at all. */
async function backUp(loaded: Loaded, file: string): Promise<Backup> {
  // Another command may write to the same file.
  const draft = `${file}.${randomBytes(6).toString("hex")}.new`;
  return await onlyWhile(draft, async () => {
    await copyInto(loaded, draft);
    const copy = new loaded.DatabaseCopy(draft);
    let counts: ReturnType<typeof copy.count>;
    try {
      copy.requireIntegrity();
      counts = copy.count(Date.now());
    } finally {
      copy.close();
    }
    putInPlace(loaded, draft, file);
    const { size: bytes } = statSync(file);
    return { file, bytes, ...counts, notInIt: elsewhere(loaded, loaded.config) };
  });
}

/** Whoever reads may be gone, or the disk behind it full: then there is no backup, and this says so. */
async function writeToStdout(file: string): Promise<void> {
  process.stdout.removeAllListeners("error").on("error", () => undefined);
  for await (const chunk of createReadStream(file))
    await new Promise<void>((written, failed) => {
      process.stdout.write(chunk as Buffer, (error) => {
        if (!error) return written();
        const { code = "unknown reason" } = error as NodeJS.ErrnoException;
        const message = `stdout took only a part of the backup (${code})`;
        return failed(new SupervisorError("BACKUP_REFUSED", message, { cause: error }));
      });
    });
}

/** To stdout, once it is whole: what reads it there cannot tell a part from the whole. */
async function backUpToStdout(loaded: Loaded, command: Command): Promise<void> {
  if (process.stdout.isTTY)
    throw new SupervisorError("USAGE", "stdout is a terminal; name a file, or pipe the backup on");
  const folder = mkdtempSync(join(tmpdir(), "mcp-supervisor-backup-"));
  await onlyWhile(folder, async () => {
    const file = join(folder, "backup");
    const made = { ...(await backUp(loaded, file)), file: "-" };
    await writeToStdout(file);
    const { json } = globalsOf(command);
    process.stderr.write(json ? jsonLine(made) : `${linesOf(made).join("\n")}\n`);
  });
}

async function backup(target: string, _options: object, command: Command): Promise<void> {
  const loaded = await load(command);
  if (target === "-") return await backUpToStdout(loaded, command);
  const file = resolve(target);
  if (existsSync(file))
    throw new SupervisorError("BACKUP_REFUSED", `${file} is there already, and is left alone`);
  const made = await backUp(loaded, file);
  answer(command, made, linesOf(made));
}

export function addBackupCommand(program: Command): void {
  program
    .command("backup")
    .description("copy the database into one file, while the daemon serves or without one")
    .argument("<file>", "a new file; - for stdout")
    .addHelpText("after", "\nExample:\n  mcp-supervisor backup /mnt/backup/mcp-$(date +%F).db")
    .action(backup);
}
