import { setTimeout as delay } from "node:timers/promises";
import type { ProviderDef } from "../config/config.ts";
import { RESTORED } from "../store/store.ts";
import type { GrantRow, Store } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import { Refused } from "./providers/provider.ts";
import type { Issued, ProviderClient, RefusalKind } from "./providers/provider.ts";
import { isDiskFull } from "./reserve.ts";
import type { Reserve } from "./reserve.ts";
import { tokenRow } from "./token-row.ts";

const CALL_TIMEOUT_MS = 15_000;
const FULL_DISK_RETRY_MS = 1000;

export interface RefreshParts {
  store: Pick<Store, "grants" | "tokens" | "transaction">;
  vault: Pick<Vault, "seal" | "open">;
  reserve: Reserve;
  /** Aborts when the daemon cannot wait any longer. */
  closing: AbortSignal;
}

/** What became of one try. `dropped`: a token that came meanwhile wins. */
export type Refreshed =
  | { kind: "ok" }
  | { kind: "dropped" }
  | { kind: RefusalKind; message: string; retryAfterMs: number | undefined };

/** What a refresh token is sealed for. */
export const placeOfGrant = ({
  user,
  server,
  provider,
  generation,
}: Pick<GrantRow, "user" | "server" | "provider" | "generation">): string =>
  `grants|${user}|${server}|${provider}|${generation}`;

/**
 * Asks the provider once. That it is asked is on the disk before, and what it gives is there before
 * anybody sees it. Rejects with DISK_FULL or STORE_FAILED where the provider was not asked for that.
 */
export async function refreshOnce(
  parts: RefreshParts,
  row: GrantRow,
  { def, client }: { def: ProviderDef; client: ProviderClient },
): Promise<Refreshed> {
  const { store, vault, reserve } = parts;
  const box = store.grants.box(row);
  if (box === undefined) return { kind: "dropped" };
  const refreshToken = vault.open(box, placeOfGrant(row));
  reserve.keep();
  if (!store.grants.begin(row)) return { kind: "dropped" };
  let issued: Issued;
  try {
    issued = await client.refresh(refreshToken, AbortSignal.timeout(CALL_TIMEOUT_MS));
  } catch (error) {
    const refused = asRefused(error);
    return await stored(parts, () => settle(parts, row, refused));
  }
  const renew = (): boolean =>
    commit(parts, row, {
      ...issued,
      def,
      refreshToken: issued.refreshToken ?? refreshToken,
      isNew: issued.refreshToken !== undefined,
    });
  return { kind: (await stored(parts, renew)) ? "ok" : "dropped" };
}

const asRefused = (error: unknown): Refused =>
  error instanceof Refused ? error : new Refused("transient", "its answer cannot be read");

interface Given extends Issued {
  def: ProviderDef;
  refreshToken: string;
  /** Not the one that it was asked with. */
  isNew: boolean;
}

/** False where the row is another one by now. */
function commit({ store, vault }: RefreshParts, row: GrantRow, given: Given): boolean {
  const at = Date.now();
  const lifetimeMs = given.expiresInMs ?? given.def.defaultExpiresInMs;
  const generation = row.generation + 1;
  const kept = given.isNew ? null : row.refreshExpiresAt;
  const renewal = {
    generation,
    box: vault.seal(given.refreshToken, placeOfGrant({ ...row, generation })),
    refreshExpiresAt: given.refreshExpiresInMs === undefined ? kept : at + given.refreshExpiresInMs,
    lifetimeMs,
    at,
  };
  const token = tokenRow(row.server, given.accessToken, at + lifetimeMs);
  const sealed = vault.seal(given.accessToken, `tokens|${row.user}|${row.server}`);
  return store.transaction(() => {
    if (!store.grants.renew(row, renewal)) return false;
    store.tokens.set(row.userId, token, sealed);
    return true;
  });
}

/** The disk may have filled up since: first what was kept free is used, then whatever becomes free. */
export async function stored<T>(
  { reserve, closing }: Pick<RefreshParts, "reserve" | "closing">,
  write: () => T,
): Promise<T> {
  for (;;) {
    try {
      return write();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      reserve.free();
    }
    try {
      return write();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
    }
    await delay(FULL_DISK_RETRY_MS, undefined, { signal: closing });
  }
}

function settle({ store }: RefreshParts, row: GrantRow, refused: Refused): Refreshed {
  const { kind, message, retryAfterMs, isAsked } = refused;
  // What an earlier daemon was answered is not known: it may have been a new token, so it is asked for
  // once more, and not again and again.
  const isUnknown = row.state === "inflight";
  const isOver = row.refreshExpiresAt !== null && row.refreshExpiresAt <= Date.now();
  const isLast = isOver || (isUnknown && isAsked);
  const isDead = kind === "terminal" || (kind === "transient" && isLast);
  const isRestored = row.reason === RESTORED;
  const origin = isRestored ? `${RESTORED}: ` : isUnknown ? "crash window: " : "";
  const why = isOver && kind !== "terminal" ? `the refresh token is over, and ${message}` : message;
  const outcome = isDead ? `needs_reauth: ${message}` : `${kind}: ${message}`;
  const isCurrent = store.grants.settle(row, {
    state: isDead ? "needs_reauth" : isUnknown ? "inflight" : "idle",
    reason: isDead ? `${origin}${why}` : isRestored ? RESTORED : null,
    outcome,
  });
  if (!isCurrent) return { kind: "dropped" };
  return { kind: isDead ? "terminal" : kind, message, retryAfterMs };
}
