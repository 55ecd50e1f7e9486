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
 * Adds a user with what lets the user in, and, where one is given, a token. All or nothing: a user without
 * what came along could not be added again. Throws as `Registry.addUser` and `Tokens.set` do, and what
 * `entry` throws, which makes what lets the user in.
 */
export function addUser<Entry>(
  { store, registry, tokens }: AddUserParts,
  { name, about, token, tokenExpiresAt = null }: NewUser,
  entry: (user: string) => Entry,
): Entry {
  return store.transaction(() => {
    const { name: user } = registry.addUser(name, about);
    if (token !== undefined) tokens.set(user, null, token, tokenExpiresAt);
    return entry(user);
  });
}
