import type { Registry } from "../auth/registry.ts";
import type { AboutUser, Store } from "../store/store.ts";
import type { Tokens } from "../tokens/tokens.ts";

export interface AddUserParts {
  store: Pick<Store, "transaction">;
  registry: Registry;
  tokens: Tokens;
}

export interface NewUser {
  name: string;
  about?: AboutUser | undefined;
  /** The general token, for all servers without one of their own. */
  token?: string | undefined;
  /** Epoch ms. */
  tokenExpiresAt?: number | null;
}

/**
 * Adds a user with a first access key and, where one is given, a token. All or nothing: a user without
 * the token or the key that came with it could not be added again. Throws as `Registry.addUser`,
 * `Tokens.set` and `Registry.issueKey` do.
 */
export function addUser(
  { store, registry, tokens }: AddUserParts,
  { name, about, token, tokenExpiresAt = null }: NewUser,
): { user: string; key: { id: string; secret: string } } {
  return store.transaction(() => {
    const { name: user } = registry.addUser(name, about);
    if (token !== undefined) tokens.set(user, null, token, tokenExpiresAt);
    const { id, secret } = registry.issueKey(user);
    return { user, key: { id, secret } };
  });
}
