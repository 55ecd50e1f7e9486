import { hash, randomInt } from "node:crypto";
import { crc32 } from "node:zlib";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX = "mcps_";
const SECRET_LENGTH = 30;
const CHECK_LENGTH = 6;
/** How much of a key is kept in the clear, to know it by. */
const SHOWN_LENGTH = 9;

const ACCESS_KEY = new RegExp(`^${PREFIX}[0-9A-Za-z]{${SECRET_LENGTH + CHECK_LENGTH}}$`);

/** Each character evenly likely: `randomInt` rejects instead of taking a remainder. */
function randomBase62(length: number): string {
  return Array.from({ length }, () => BASE62[randomInt(BASE62.length)]).join("");
}

/** The CRC-32 of the text in base62. Lets a typo, or a scanner for leaked keys, be settled without the database. */
function checkOf(text: string): string {
  let rest = crc32(text);
  let check = "";
  for (let i = 0; i < CHECK_LENGTH; i += 1) {
    check = BASE62[rest % BASE62.length]! + check;
    rest = Math.floor(rest / BASE62.length);
  }
  return check;
}

/** A new access key: `mcps_`, 178 bits, a check. */
export function newAccessKey(): string {
  const body = PREFIX + randomBase62(SECRET_LENGTH);
  return body + checkOf(body);
}

/** The public name of an access key. */
export function newKeyId(): string {
  return `key_${randomBase62(10)}`;
}

export function shownPrefix(accessKey: string): string {
  return accessKey.slice(0, SHOWN_LENGTH);
}

/** Whether the text could be a key of ours at all. */
export function isAccessKey(text: string): boolean {
  return (
    ACCESS_KEY.test(text) && checkOf(text.slice(0, -CHECK_LENGTH)) === text.slice(-CHECK_LENGTH)
  );
}

/** What is kept of a key. A fast hash is enough for 178 random bits: there is nothing to guess. */
export function digestOf(accessKey: string): string {
  return hash("sha256", accessKey, "base64");
}
