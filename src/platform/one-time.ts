import { createHash, randomBytes } from "node:crypto";

/** A secret that is good once: 256 bits, in letters that a URL may hold anywhere. */
export const newOneTimeSecret = (): string => randomBytes(32).toString("base64url");

/** Whether it may be one: nothing else is worth a look at what is kept. */
export const isOneTimeSecret = (text: string): boolean => /^[\w-]{43}$/.test(text);

/** What is kept of it. A fast hash is enough: there is nothing to guess. */
export const digestOfSecret = (secret: string): Buffer =>
  createHash("sha256").update(secret).digest();
