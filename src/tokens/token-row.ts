import { createHash } from "node:crypto";
import type { TokenRow } from "../store/store.ts";

/** By what a token is known that is not shown. */
export const fingerprintOf = (value: string): string =>
  `sha256:${createHash("sha256").update(value).digest("hex").slice(0, 12)}`;

/** What is kept of a token beside its box. */
export function tokenRow(server: string, value: string, expiresAt: number | null): TokenRow {
  return { server, fingerprint: fingerprintOf(value), setAt: Date.now(), expiresAt };
}
