import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
} from "node:fs";
import type { Stats } from "node:fs";
import path from "node:path";
import { SupervisorError, shortageOf } from "../errors.ts";
import { syncToDisk, writeInPlace, writeNewFile } from "../platform/atomic-file.ts";
import { KEY_BYTES, formatKeys, parseKeys } from "./key-list.ts";
import type { VaultKey } from "./key-list.ts";

const DRAFT_BYTES = 6;
const DRAFT_END = /^[0-9a-f]{12}$/;

/** KEY_FILE_REFUSED with what to do about it. Never holds a byte of the key. */
export function refuseKeyFile(
  keyFile: string,
  why: string,
  remedy: string,
  cause?: unknown,
): SupervisorError {
  return new SupervisorError("KEY_FILE_REFUSED", `${keyFile}: ${why}`, {
    details: [remedy],
    cause,
  });
}

/** The keys in the file, the newest first, or undefined where there is no file. KEY_FILE_REFUSED for a file that others could read or change. */
export function readKeyFile(keyFile: string): VaultKey[] | undefined {
  let file: number;
  try {
    // A symlink is followed: what counts is the file behind it. O_NONBLOCK, because opening a pipe would wait.
    file = openSync(keyFile, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable(keyFile, "read", error);
  }
  try {
    // Looked at through the open file, so that what is checked is what is read.
    requirePrivate(keyFile, fstatSync(file));
    return decode(keyFile, readFileSync(file, "latin1"));
  } finally {
    closeSync(file);
  }
}

function requirePrivate(keyFile: string, status: Stats): void {
  if (!status.isFile())
    throw refuseKeyFile(keyFile, "is not a file", "name a file with keyFile in the config");
  const mode = status.mode & 0o777;
  if ((mode & forbiddenBits(keyFile)) !== 0)
    throw refuseKeyFile(
      keyFile,
      `has mode ${mode.toString(8).padStart(4, "0")}, so other accounts could get at it`,
      `if nobody else has read it: chmod 400 '${keyFile}'`,
    );
  const self = process.geteuid?.();
  if (status.uid !== 0 && status.uid !== self)
    throw refuseKeyFile(
      keyFile,
      "belongs to another account",
      `give it to the account of the daemon: chown ${self} '${keyFile}'`,
    );
}

/**
 * Anything for group or others. In systemd's credentials folder the group may read: there these bits
 * are the mask of an ACL that names the service's own account, and the folder is closed to others.
 */
function forbiddenBits(keyFile: string): number {
  return isCredential(keyFile) ? 0o037 : 0o077;
}

function decode(keyFile: string, text: string): VaultKey[] {
  const keys = parseKeys(text);
  if (typeof keys !== "string") return keys;
  throw refuseKeyFile(keyFile, keys, "put the key file back from your backup");
}

/** Makes the key file with a new key, unless one came to be there meanwhile; the keys that are there then. */
export function makeKeyFile(keyFile: string): VaultKey[] {
  const draft = `${keyFile}.${randomBytes(DRAFT_BYTES).toString("hex")}`;
  try {
    const text = formatKeys([{ id: 0, bytes: randomBytes(KEY_BYTES) }]);
    writeNewFile(draft, { text, mode: 0o400 });
    // Unlike rename, link never takes the place of a file: a key that is there may be the only one that opens the rows.
    linkIfFree(draft, keyFile);
  } catch (error) {
    throw unusable(keyFile, "made", error);
  } finally {
    rmSync(draft, { force: true });
  }
  // Until then a power loss could take the new name back, and with it every token sealed since.
  syncToDisk(path.dirname(keyFile));
  return readKeyFile(keyFile)!;
}

/**
 * Puts a new key before those in the file, and returns all of them once the file is on the disk.
 * KEY_FILE_REFUSED where it cannot be read or written, DISK_FULL where there is no room; it is then as it was.
 */
export function addToKeyFile(keyFile: string): VaultKey[] {
  const keys = requireKeys(keyFile);
  const added = { id: (keys[0]?.id ?? 0) + 1, bytes: randomBytes(KEY_BYTES) };
  return writeKeys(keyFile, [added, ...keys]);
}

/** Takes a key out of the file; it may be gone from it already. Throws as `addToKeyFile` does. */
export function removeFromKeyFile(keyFile: string, id: number): void {
  const keys = requireKeys(keyFile);
  const rest = keys.filter((key) => key.id !== id);
  if (rest.length > 0 && rest.length < keys.length) writeKeys(keyFile, rest);
  for (const { bytes } of keys) bytes.fill(0);
}

export function requireKeys(keyFile: string): VaultKey[] {
  const keys = readKeyFile(keyFile);
  if (keys !== undefined) return keys;
  throw refuseKeyFile(keyFile, "is missing", "put the key file back from your backup");
}

/** What a first start that was killed has left beside the file, with a key that may be dropped by now. */
function removeDrafts(file: string): void {
  const folder = path.dirname(file);
  const begin = `${path.basename(file)}.`;
  for (const name of readdirSync(folder)) {
    const isDraft = name.startsWith(begin) && DRAFT_END.test(name.slice(begin.length));
    if (isDraft) rmSync(path.join(folder, name), { force: true });
  }
}

/** Over the file that is there, which stays its owner's; whole or not at all. */
function writeKeys(keyFile: string, keys: VaultKey[]): VaultKey[] {
  try {
    // A link stays one, and leads to the new file.
    const file = realpathSync(keyFile);
    const { uid, gid } = statSync(file);
    removeDrafts(file);
    writeInPlace(file, { text: formatKeys(keys), mode: 0o400, owner: { uid, gid } });
    syncToDisk(path.dirname(file));
  } catch (error) {
    throw unusable(keyFile, "written", error);
  }
  return keys;
}

/** Whether the service manager made this file for the service, which then cannot write it. */
export function isCredential(keyFile: string): boolean {
  const credentials = process.env["CREDENTIALS_DIRECTORY"];
  return !!credentials && path.dirname(keyFile) === path.resolve(credentials);
}

function linkIfFree(draft: string, keyFile: string): void {
  try {
    linkSync(draft, keyFile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function unusable(keyFile: string, verb: string, cause: unknown): SupervisorError {
  const shortage = shortageOf(cause, `${keyFile}: cannot be ${verb}`);
  if (shortage !== undefined) return shortage;
  const reason = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
  const remedy = "let the account of the daemon reach it, or name another one with keyFile";
  return refuseKeyFile(keyFile, `cannot be ${verb} (${reason})`, remedy, cause);
}
