import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { SupervisorError } from "../errors.ts";
import { writeInPlace } from "../platform/atomic-file.ts";

const TOKEN_BYTES = 32;

const fileRefused = (path: string, why: string): SupervisorError =>
  new SupervisorError("KEY_FILE_REFUSED", `${path}: ${why}`, {
    details: ["delete the file, and the next start makes a new token"],
  });

function readToken(path: string): string | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw fileRefused(path, `cannot be read (${code})`);
  }
  try {
    const mode = fstatSync(file).mode & 0o777;
    if ((mode & 0o077) !== 0)
      throw fileRefused(path, `has mode ${mode.toString(8)}, so other accounts could be admins`);
    const token = readFileSync(file, "utf8").trim();
    if (!/^[\w-]{43}$/.test(token)) throw fileRefused(path, "holds no admin token");
    return token;
  } finally {
    closeSync(file);
  }
}

function makeToken(path: string): string {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  writeInPlace(path, { text: `${token}\n`, mode: 0o400 });
  return token;
}

/**
 * The admin token of this data folder; the first start makes it (0400).
 *
 * Throws KEY_FILE_REFUSED where others may read the file, or where it holds something else.
 */
export function loadAdminToken(dataDir: string): string {
  const path = join(dataDir, "admin.token");
  return readToken(path) ?? makeToken(path);
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Whether a text is the token. Digests are compared, so that neither content nor length shows in the time it takes. */
export function createTokenTest(token: string): (given: string) => boolean {
  const expected = digest(token);
  return (given) => timingSafeEqual(digest(given), expected);
}

/** What a request shows to be let in. KEY_MISSING, KEY_INVALID. */
export function bearerOf(req: IncomingMessage): string {
  // Two are refused: something in front may have looked at the other one.
  const [header, ...others] = req.headersDistinct["authorization"] ?? [];
  if (header === undefined) {
    throw new SupervisorError(
      "KEY_MISSING",
      "the admin token is needed: Authorization: Bearer TOKEN",
    );
  }
  const [, given] = /^Bearer +([\w-]+) *$/i.exec(header) ?? [];
  if (others.length > 0 || given === undefined) throw notTheToken();
  return given;
}

export const notTheToken = (): SupervisorError =>
  new SupervisorError("KEY_INVALID", "this is not the admin token");
