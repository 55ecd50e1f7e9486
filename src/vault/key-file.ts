import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, linkSync, openSync, readFileSync, rmSync } from "node:fs";
import type { Stats } from "node:fs";
import path from "node:path";
import { SupervisorError } from "../errors.ts";
import { syncToDisk, writeNewFile } from "../platform/atomic-file.ts";

const KEY_BYTES = 32;

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

/** The key in the file, or undefined where there is no file. KEY_FILE_REFUSED for a file that others could read or change. */
export function readKeyFile(keyFile: string): Buffer | undefined {
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
  const credentials = process.env["CREDENTIALS_DIRECTORY"];
  return credentials !== undefined && path.dirname(keyFile) === path.resolve(credentials)
    ? 0o037
    : 0o077;
}

function decode(keyFile: string, text: string): Buffer {
  const base64 = text.replace(/\r?\n$/, "");
  const key = Buffer.from(base64, "base64");
  // Node skips what is not base64; only the text that it would write itself is a whole key.
  if (key.length === KEY_BYTES && key.toString("base64") === base64) return key;
  throw refuseKeyFile(
    keyFile,
    `does not hold a key (${KEY_BYTES} bytes as base64)`,
    "put the key file back from your backup",
  );
}

/** Makes the key file with a new key, unless one came to be there meanwhile; the key that is there then. */
export function makeKeyFile(keyFile: string): Buffer {
  const draft = `${keyFile}.${randomBytes(6).toString("hex")}`;
  try {
    const text = `${randomBytes(KEY_BYTES).toString("base64")}\n`;
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

function linkIfFree(draft: string, keyFile: string): void {
  try {
    linkSync(draft, keyFile);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function unusable(keyFile: string, verb: string, cause: unknown): SupervisorError {
  const reason = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
  const remedy = "let the account of the daemon reach it, or name another one with keyFile";
  return refuseKeyFile(keyFile, `cannot be ${verb} (${reason})`, remedy, cause);
}
