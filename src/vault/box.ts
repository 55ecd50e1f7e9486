import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";

/**
 * A box begins with its layout. Layout 1 is this byte, the IV, the ciphertext, the tag, and key 0 has
 * sealed it; layout 2 has the number of its key, four bytes, behind the first.
 */
const PLAIN = 1;
const NUMBERED = 2;
const ID_BYTES = 4;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** The number of the key that sealed the box, by its beginning; undefined for what is no box. */
export function keyIdOf(head: Buffer): number | undefined {
  if (head[0] === PLAIN) return 0;
  return head[0] === NUMBERED && head.length > ID_BYTES ? head.readUInt32BE(1) : undefined;
}

/**
 * How every box of that key begins, and no other. Layout 1 for key 0, so that what was never rotated stays
 * readable for earlier versions.
 */
export function headOf(id: number): Buffer {
  if (id === 0) return Buffer.of(PLAIN);
  const head = Buffer.alloc(1 + ID_BYTES, NUMBERED);
  head.writeUInt32BE(id, 1);
  return head;
}

/** The layout and the key are bound too: one must not be passed off as another. */
const bound = (id: number, place: string): Buffer =>
  Buffer.from(id === 0 ? `${PLAIN}|${place}` : `${NUMBERED}|${id}|${place}`);

/** Seals `text` for that place. */
export function seal(id: number, key: KeyObject, text: string, place: string): Buffer {
  // Random, not counted: a counter would repeat after a restored backup, and a repeated IV breaks GCM.
  const iv = randomBytes(IV_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  cipher.setAAD(bound(id, place));
  const sealed = [cipher.update(text, "utf8"), cipher.final()];
  return Buffer.concat([headOf(id), iv, ...sealed, cipher.getAuthTag()]);
}

/** What was sealed for that place with the key that the box names, or undefined. */
export function unseal(key: KeyObject, box: Buffer, place: string): string | undefined {
  const id = keyIdOf(box);
  if (id === undefined) return undefined;
  const ivAt = headOf(id).length;
  const textAt = ivAt + IV_BYTES;
  // Key 0 has one layout only, or one box could be written in two ways.
  if (box.length < textAt + TAG_BYTES || (id === 0 && box[0] !== PLAIN)) return undefined;
  const iv = box.subarray(ivAt, textAt);
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound(id, place));
  decipher.setAuthTag(box.subarray(-TAG_BYTES));
  try {
    const text = decipher.update(box.subarray(textAt, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    // The tag does not fit; OpenSSL says no more than that.
    return undefined;
  }
}
