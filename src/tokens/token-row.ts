import { createHash } from "node:crypto";
import type { TokenRow } from "../store/store.ts";

/** What is kept of a token beside its box. */
export function tokenRow(server: string, value: string, expiresAt: number | null): TokenRow {
  const digest = createHash("sha256").update(value).digest("hex");
  return { server, fingerprint: `sha256:${digest.slice(0, 12)}`, setAt: Date.now(), expiresAt };
}
