import { createHmac } from "node:crypto";
import type { Servers } from "../catalog/catalog.ts";
import { SupervisorError } from "../errors.ts";
import { withDeadline } from "../platform/deadline.ts";
import { digestOfSecret, isOneTimeSecret, newOneTimeSecret } from "../platform/one-time.ts";
import type { PendingConnect, Store } from "../store/store.ts";
import type { ProviderClients } from "./providers/clients.ts";
import { DENIED, Refused } from "./providers/provider.ts";
import type { Authorization, Issued, ProviderClient } from "./providers/provider.ts";

/** How long a user may take at the provider. */
export const CONNECT_WITHIN_MS = 600_000;
const CALL_TIMEOUT_MS = 15_000;

export interface ConnectsParts {
  store: Pick<Store, "connects" | "transaction" | "relaxed" | "users">;
  servers: Servers;
  clients: ProviderClients;
  /** Keeps what the provider gave, and returns when the access token ends. */
  keep: (owner: Pick<PendingConnect, "user" | "server">, issued: Issued) => number;
}

/** Where browsers find us; known once somebody listens. */
export interface ConnectAddresses {
  /** The one that providers send back to. */
  callback: string;
  /** The page on which the user connects an account for the server. */
  page: (user: string, server: string) => string;
}

/** A user's account is connected; nothing of the token itself. */
export interface Connected extends PendingConnect {
  /** As the provider says them, else as they were asked for. */
  scopes: string[];
  /** Of the access token; epoch ms. */
  expiresAt: number;
  isRefreshed: boolean;
}

/** Why there is no token: `denied` by the user, or by the provider for the user; `client`: this installation is refused. */
export type NotConnected = "denied" | "refused" | "client" | "unreachable";

/**
 * The first token of a user, by way of the user's browser: authorization code with PKCE. What stands in
 * the database are digests. The verifier is made from what the browser alone keeps, so that nothing here
 * could redeem a code without it.
 */
export class Connects {
  readonly #parts: ConnectsParts;
  /** By user and server, whose code is being redeemed. What is not here any more is not to be kept. */
  readonly #redeeming = new Map<string, symbol>();
  readonly #underWay = new Set<Promise<unknown>>();
  #addresses: ConnectAddresses | undefined;

  constructor(parts: ConnectsParts) {
    this.#parts = parts;
  }

  reachableAt(addresses: ConnectAddresses): void {
    this.#addresses = addresses;
  }

  /** Where the user connects an account for the server, if that is where its tokens come from. */
  pageFor(user: string, server: string): string | undefined {
    return this.#sourceOf(server) === undefined ? undefined : this.#addresses?.page(user, server);
  }

  /**
   * Where the user's browser goes, and what it has to keep until it is back. What was begun before for
   * the same server is void. CONNECT_INVALID where no provider gives users a token for that server.
   */
  async begin(user: string, server: string): Promise<{ url: URL; browser: string }> {
    const provider = this.#providerOf(server);
    const [state, browser] = [newOneTimeSecret(), newOneTimeSecret()];
    const { client } = this.#clientOf(provider);
    const redirectUri = this.#callback();
    const verifier = verifierOf(state, browser);
    const url = await client.authorizeUrl({ redirectUri, state, verifier });
    const { store } = this.#parts;
    const row = store.users.find(user);
    if (row?.state !== "enabled") throw new SupervisorError("USER_NOT_FOUND", "no such user");
    const digests = { state: digestOfSecret(state), browser: digestOfSecret(browser) };
    const expiresAt = Date.now() + CONNECT_WITHIN_MS;
    // What a power loss takes back is begun anew; to wait for the disk would keep everybody waiting.
    store.relaxed(() =>
      store.connects.set({ userId: row.id, server, provider, ...digests, expiresAt }),
    );
    return { url, browser };
  }

  /**
   * Redeems what a browser came back with, once. CONNECT_INVALID where that browser began nothing with
   * that state, or it is used or late; PROVIDER_REFUSED where the provider gives no token, its data says
   * why as NotConnected. `knows` is told whose it is.
   */
  async finish(
    { query, browser }: { query: string; browser: string },
    knows: (pending: PendingConnect) => void,
  ): Promise<Connected> {
    const params = new URLSearchParams(query);
    const [state = "", ...others] = params.getAll("state");
    const isRead = others.length === 0 && isOneTimeSecret(state) && isOneTimeSecret(browser);
    const pending = isRead ? this.#take(state, browser) : undefined;
    if (pending === undefined || this.#sourceOf(pending.server) !== pending.provider)
      throw new SupervisorError(
        "CONNECT_INVALID",
        "no connection was begun in this browser that this could finish, or it was finished already or has expired",
      );
    knows(pending);
    const verifier = verifierOf(state, browser);
    const redirectUri = this.#callback();
    const work = this.#redeem(pending, { redirectUri, state, verifier }, params);
    this.#underWay.add(work);
    try {
      return await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  /** What is under way for the user's server, or all of the user's, is not to be kept. */
  forget(user: string, server?: string): void {
    for (const key of this.#redeeming.keys())
      if (key === `${user}/${server}` || (server === undefined && key.startsWith(`${user}/`)))
        this.#redeeming.delete(key);
  }

  /** What was begun for the user, or is under way, is void: whoever began it may have had a key that opens nothing any more. May throw STORE_FAILED. */
  end(user: string): void {
    this.forget(user);
    this.#parts.store.connects.deleteOf(user);
  }

  /** Resolves when no code is being redeemed any more. */
  async close(): Promise<void> {
    await withDeadline(Promise.allSettled(this.#underWay), CALL_TIMEOUT_MS + 1000, () => []);
  }

  #take(state: string, browser: string): PendingConnect | undefined {
    const { store } = this.#parts;
    return store.transaction(() =>
      store.connects.take(digestOfSecret(state), digestOfSecret(browser)),
    );
  }

  async #redeem(
    pending: PendingConnect,
    authorization: Authorization,
    query: URLSearchParams,
  ): Promise<Connected> {
    const { user, server, provider } = pending;
    const key = `${user}/${server}`;
    const mark = Symbol(key);
    this.#redeeming.set(key, mark);
    try {
      const { scopes } = this.#clientOf(provider);
      const issued = await this.#exchange(provider, authorization, query);
      if (this.#redeeming.get(key) !== mark)
        throw new SupervisorError("CONNECT_INVALID", "another token came meanwhile, and stays");
      return {
        ...pending,
        scopes: issued.scope?.split(/[ ,]+/).filter((scope) => scope !== "") ?? scopes,
        expiresAt: this.#parts.keep({ user, server }, issued),
        isRefreshed: issued.refreshToken !== undefined,
      };
    } catch (error) {
      throw error instanceof Refused ? refusalOf(provider, error) : error;
    } finally {
      if (this.#redeeming.get(key) === mark) this.#redeeming.delete(key);
    }
  }

  /** In its turn, and after messages that wait for a token: whoever has a key can send codes that are none. */
  async #exchange(
    provider: string,
    authorization: Authorization,
    query: URLSearchParams,
  ): Promise<Issued> {
    const { client } = this.#clientOf(provider);
    const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const turn = this.#parts.clients.turnsOf(provider).take(false, signal);
    const giveBack = await turn.catch(() => {
      throw new Refused("transient", "too much is asked of it at the moment", { isAsked: false });
    });
    try {
      return await client.exchange(authorization, query, signal);
    } finally {
      giveBack();
    }
  }

  #callback(): string {
    if (this.#addresses !== undefined) return this.#addresses.callback;
    throw new SupervisorError("STOPPING", "nobody listens yet");
  }

  #clientOf(provider: string): { client: ProviderClient; scopes: string[] } {
    const found = this.#parts.clients.find(provider);
    if (found !== undefined) return { client: found.client, scopes: found.def.scopes };
    throw new SupervisorError("CONNECT_INVALID", "the provider is no longer in the config");
  }

  #providerOf(server: string): string {
    const provider = this.#sourceOf(server);
    if (provider !== undefined) return provider;
    throw new SupervisorError("CONNECT_INVALID", "this server has no accounts to connect");
  }

  /** The provider that gives each user a token for the server. */
  #sourceOf(server: string): string | undefined {
    const source = this.#parts.servers.find(server)?.tokensFrom;
    return source?.grant === "user" ? source.provider : undefined;
  }
}

/** RFC 7636, section 4.1: 43 characters. */
const verifierOf = (state: string, browser: string): string =>
  createHmac("sha256", browser).update(`pkce|${state}`).digest("base64url");

function refusalOf(provider: string, { kind, message }: Refused): SupervisorError {
  const why: Record<typeof kind, NotConnected> = {
    terminal: message === DENIED ? "denied" : "refused",
    config: "client",
    transient: "unreachable",
  };
  return new SupervisorError("PROVIDER_REFUSED", `${provider} gave no token: ${message}`, {
    data: { why: why[kind] },
  });
}
