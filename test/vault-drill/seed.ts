// A data folder as a daemon of many users leaves it, in seconds.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { DATABASE_FILE, openStore } from "../../src/store/store.ts";
import type { AuditRow, Store } from "../../src/store/store.ts";
import type { Tokens } from "../../src/tokens/tokens.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { openVault } from "../../src/vault/vault.ts";

export const tokenOf = (user: number): string => `canary-token-of-u${user}-5c1e`;

export interface Amounts {
  users: number;
  auditRows?: number;
}

function addUsers(store: Store, tokens: Tokens, count: number): void {
  for (let user = 0; user < count; user += 1) {
    const { id: userId } = store.users.insert(`u${user}`, 1);
    tokens.set(`u${user}`, null, tokenOf(user));
    const hash = createHash("sha256").update(`key-${user}`).digest();
    const key = { prefix: "mcps_seed", label: null, createdAt: 1, expiresAt: null };
    store.accessKeys.insert({ id: `key_${user}`, userId, ...key }, hash);
  }
}

function addAuditRows(store: Store, count: number): void {
  const rows: AuditRow[] = [];
  for (let row = 0; row < count; row += 1)
    rows.push({
      at: Date.now(),
      kind: "call",
      user: `u${row % 100}`,
      server: "echo",
      requestId: `0123456789abcdef0123456789abcdef${row}`,
      who: "default",
      what: "echo",
      outcome: "ok",
      reason: null,
      durationMs: 1.5,
      bytesIn: 200,
      bytesOut: 300,
    });
  store.audit.insertAll(rows);
}

/** Fills the folder, with the key file in it. */
export function seedDataDir(dataDir: string, { users, auditRows = 0 }: Amounts): void {
  const store = openStore(join(dataDir, DATABASE_FILE));
  const vault = openVault({ keyFile: join(dataDir, "vault.key"), store });
  const tokens = tokensOver({ store, vault });
  store.transaction(() => addUsers(store, tokens, users));
  if (auditRows > 0) addAuditRows(store, auditRows);
  store.close();
}
