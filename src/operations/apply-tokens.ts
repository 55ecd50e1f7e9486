import type { Registry } from "../auth/registry.ts";
import type { Servers } from "../catalog/catalog.ts";
import { applyRefused } from "../config/apply-schema.ts";
import type { WantedToken } from "../config/apply-schema.ts";
import type { Store } from "../store/store.ts";
import { fingerprintOf } from "../tokens/token-row.ts";
import type { Tokens } from "../tokens/tokens.ts";

/** Whose token was stored, or would be. */
export type SetToken = Omit<WantedToken, "token">;

export interface ApplyTokensParts {
  registry: Pick<Registry, "findUser">;
  catalog: Servers;
  store: Pick<Store, "transaction">;
  tokens: Pick<Tokens, "set" | "show">;
}

/**
 * Stores the tokens that are not stored already, all or none, so that no child is started anew for
 * one that it has; a dry run says which. REQUEST_INVALID with all that is wrong with servers, else as
 * `Tokens.set`.
 */
export function applyTokens(
  { registry, catalog, store, tokens }: ApplyTokensParts,
  wanted: readonly WantedToken[],
  isDryRun: boolean,
): SetToken[] {
  const problems = wanted.flatMap(({ user, server }) => {
    const def = server === null ? undefined : catalog.find(server);
    if (server !== null && def === undefined) return [`${user}: there is no server ${server}`];
    return def?.tokensFrom == null ? [] : [`${user}: the tokens of ${server} come from a provider`];
  });
  if (problems.length > 0) throw applyRefused(problems);
  const isKept = ({ user, server, token }: WantedToken): boolean =>
    registry.findUser(user) !== undefined &&
    tokens.show(user).find((row) => row.server === server)?.fingerprint === fingerprintOf(token);
  return store.transaction(() => {
    const other = wanted.filter((one) => !isKept(one));
    if (!isDryRun) for (const { user, server, token } of other) tokens.set(user, server, token);
    return other.map(({ user, server }) => ({ user, server }));
  });
}
