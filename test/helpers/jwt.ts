import { createHmac } from "node:crypto";

const part = (value: unknown): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

/** A JWT as RFC 7515 has it, with nothing of a library; text is taken as it is, so that it may be malformed. */
export function signedJwt(
  secret: string | Buffer,
  payload: unknown,
  header: unknown = { alg: "HS256", typ: "JWT" },
  hash = "sha256",
): string {
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${createHmac(hash, secret).update(signed).digest("base64url")}`;
}

/** Epoch seconds, so many from now. */
export const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds;
