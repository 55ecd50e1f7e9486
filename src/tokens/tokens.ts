/** Room: tokens. The users' secrets for the services outside. In: a token, once, or what a provider gives for a refresh token. Out: the token for one child, fingerprints for everybody else, and an event when one changed. Never logs or compares a token. */
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import type { Servers } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { SLUG } from "../platform/slug.ts";
import { SupervisorError } from "../errors.ts";
import type { GrantRow, NewGrant, Store, UserRow } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { Vault } from "../vault/vault.ts";
import { Connects } from "./connects.ts";
import { ProviderClients } from "./providers/clients.ts";
import type { Issued } from "./providers/provider.ts";
import { needsToken, tokenExpired, tokenMissing } from "./no-token.ts";
import { placeOfGrant } from "./refresh-once.ts";
import { Refresher, isGood } from "./refresher.ts";
import { SharedTokens, sharedSource } from "./shared-tokens.ts";
import { tokenRow } from "./token-row.ts";
import { requireToken } from "./token-rules.ts";

/** Of a user whose provider gave an access token alone. */
const NO_REFRESH = "it gave no refresh token";

/** The name of the general token in a row. */
const GENERAL = "";

/** What is known of the provider that a token comes from. Times are epoch ms. */
export interface StoredGrant {
  provider: string;
  refreshExpiresAt: number | null;
  /** When a token came last; null where none has. */
  refreshedAt: number | null;
  /** Of the last try: `ok`, or why it failed; null where there was none. */
  lastResult: string | null;
  lastTriedAt: number | null;
  /** Since when, and why, the user has to connect anew; null where that is not so. */
  needsReauth: { since: number; reason: string } | null;
}

/** A token as it can be shown. */
export interface StoredToken {
  /** null for the general token, which goes to every server without one of its own. */
  server: string | null;
  /** `sha256:` and twelve hex digits: enough to compare two tokens by, not enough to find one. Null where a provider has not given one yet. */
  fingerprint: string | null;
  setAt: number | null;
  /** May have passed: whether a token still works is for its provider to say. */
  expiresAt: number | null;
  /** null where nobody refreshes it. */
  grant: StoredGrant | null;
}

/** Emitted when the change is on the disk, before the call that made it returns. */
export interface TokenEvents {
  /** `user` is null where it is one token for all users; `server` is null where it was the general token, or all of them. */
  changed: [{ user: string | null; server: string | null; isCleared: boolean }];
}

export interface TokensParts {
  store: Store;
  vault: Vault;
  config: Pick<Config, "providers" | "dataDir">;
  servers: Servers;
  scrubber: Pick<Scrubber, "set">;
  log: Logger;
}

/** Tokens by user and server. Every call may reject with STORE_FAILED; a change has then changed nothing. */
export class Tokens {
  readonly events = new EventEmitter<TokenEvents>();
  readonly refresher: Refresher;
  readonly shared: SharedTokens;
  readonly connects: Connects;
  readonly #store: Store;
  readonly #vault: Vault;
  readonly #config: TokensParts["config"];
  readonly #servers: Servers;
  /** Users and servers whose token was over when another came. */
  readonly #lateOnes = new Set<string>();
  readonly #closing = new AbortController();

  constructor({ store, vault, config, servers, scrubber, log }: TokensParts) {
    this.#store = store;
    this.#vault = vault;
    this.#config = config;
    this.#servers = servers;
    const clients = new ProviderClients(config, (name, secret) => scrubber.set(name, secret));
    this.refresher = new Refresher({ store, vault, config, servers, clients, log });
    this.shared = new SharedTokens(servers, clients);
    this.connects = new Connects({
      store,
      servers,
      clients,
      keep: ({ user, server }, issued) => this.#setIssued(user, server, issued),
    });
    this.refresher.events.on("renewed", ({ user, server, wasOver }) => {
      if (wasOver) this.#lateOnes.add(`${user}/${server}`);
      this.events.emit("changed", { user, server, isCleared: false });
    });
    this.shared.events.on("renewed", ({ server }) =>
      this.events.emit("changed", { user: null, server, isCleared: false }),
    );
  }

  /**
   * Keeps the token in place of the one before. `expiresAt` is epoch ms. USER_NOT_FOUND also for a
   * user who is being removed; REQUEST_INVALID for what cannot be a token; TOKEN_OF_PROVIDER where the
   * server's tokens come from a provider.
   */
  set(user: string, server: string | null, value: string, expiresAt: number | null = null): void {
    requireToken(value);
    const { id } = this.#requireOwner(user);
    if (server !== null && this.#servers.find(server)?.tokensFrom != null)
      throw new SupervisorError(
        "TOKEN_OF_PROVIDER",
        `the tokens of ${server} come from a provider, which keeps them fresh: set a refresh token`,
      );
    const row = tokenRow(server ?? GENERAL, value, expiresAt);
    const box = this.#vault.seal(value, placeOf(user, row.server));
    this.#store.transaction(() => {
      this.#store.grants.delete(id, row.server);
      this.#store.tokens.set(id, row, box);
    });
    this.#changed(user, server, false);
  }

  /**
   * Keeps a refresh token, with which the token of that server is fetched once it is wanted. What the
   * user had for the server is gone, and what a provider was asked for with it is dropped. Throws as
   * `set`; REQUEST_INVALID where no provider gives users a token for that server.
   */
  setRefreshToken(user: string, server: string, value: string): void {
    requireToken(value);
    const { id } = this.#requireOwner(user);
    const grant = this.#newGrant(user, server, value);
    this.#store.transaction(() => {
      this.#store.grants.set(id, server, grant);
      this.#store.tokens.delete(id, server);
    });
    this.#lateOnes.add(`${user}/${server}`);
    this.#changed(user, server, false);
  }

  /**
   * Keeps what a provider gave to a user who has just connected, as `setRefreshToken` does, and returns
   * when the access token ends (epoch ms). Where it gave no refresh token, that is when the user has to
   * connect anew. Throws as `setRefreshToken`.
   */
  #setIssued(user: string, server: string, issued: Issued): number {
    const { accessToken, refreshToken = "" } = issued;
    requireToken(accessToken);
    const { id } = this.#requireOwner(user);
    const grant = this.#newGrant(user, server, refreshToken);
    const at = Date.now();
    const lifetimeMs =
      issued.expiresInMs ?? this.#config.providers[grant.provider]!.defaultExpiresInMs;
    const refreshExpiresAt =
      issued.refreshExpiresInMs === undefined ? null : at + issued.refreshExpiresInMs;
    const token = tokenRow(server, accessToken, at + lifetimeMs);
    const box = this.#vault.seal(accessToken, placeOf(user, server));
    this.refresher.accepted(grant.provider);
    const key = { userId: id, server, generation: grant.generation };
    const { grants, tokens } = this.#store;
    this.#store.transaction(() => {
      grants.set(id, server, grant);
      grants.renew(key, { ...grant, refreshExpiresAt, lifetimeMs, at });
      if (refreshToken === "")
        grants.settle(key, { state: "needs_reauth", reason: NO_REFRESH, outcome: NO_REFRESH });
      tokens.set(id, token, box);
    });
    this.#lateOnes.add(`${user}/${server}`);
    this.#changed(user, server, false);
    return at + lifetimeMs;
  }

  /** A refresh token, sealed, for a server whose users have theirs from a provider; else REQUEST_INVALID. */
  #newGrant(user: string, server: string, refreshToken: string): NewGrant {
    const source = this.#servers.find(server)?.tokensFrom;
    if (source == null || source.grant !== "user")
      throw new SupervisorError(
        "REQUEST_INVALID",
        `${server} has no provider that gives each user a token: the config names one`,
      );
    const { provider } = source;
    const before = this.#store.grants.find(user, server)?.generation ?? 0;
    // No number that a row had which is gone: an answer may be on its way for that.
    const generation = Math.max(before + 1, Date.now());
    const place = placeOfGrant({ user, server, provider, generation });
    return {
      provider,
      generation,
      box: this.#vault.seal(refreshToken, place),
      refreshExpiresAt: null,
    };
  }

  /** The general token first, then by server. USER_NOT_FOUND. */
  show(user: string): StoredToken[] {
    const { id } = this.#requireUser(user);
    const grants = new Map(this.#store.grants.of(id).map((row) => [row.server, row]));
    const tokens = this.#store.tokens.list(id);
    const named = new Set(tokens.map(({ server }) => server));
    const bare = [...grants.keys()].filter((server) => !named.has(server));
    return [
      ...tokens,
      ...bare.map((server) => ({ server, fingerprint: null, setAt: null, expiresAt: null })),
    ]
      .toSorted((a, b) => (a.server < b.server ? -1 : 1))
      .map((row) => ({
        ...row,
        server: row.server === GENERAL ? null : row.server,
        grant: shown(grants.get(row.server)),
      }));
  }

  /** USER_NOT_FOUND, or TOKEN_NOT_FOUND where none was set. */
  clear(user: string, server: string | null): void {
    const { id } = this.#requireUser(user);
    const { tokens, grants } = this.#store;
    const place = server ?? GENERAL;
    const found = this.#store.transaction(() => [
      tokens.delete(id, place),
      grants.delete(id, place),
    ]);
    if (!found.includes(true))
      throw new SupervisorError("TOKEN_NOT_FOUND", "there is no such token");
    this.#changed(user, server, true);
  }

  /** How many there were. USER_NOT_FOUND. */
  clearAll(user: string): number {
    const { id } = this.#requireUser(user);
    const count = this.show(user).length;
    this.#store.transaction(() => {
      this.#store.tokens.deleteAll(id);
      this.#store.grants.deleteAll(id);
    });
    this.connects.forget(user);
    if (count > 0) this.#changed(user, null, true);
    return count;
  }

  /** The token for that server, else the user's general one, else undefined; as it is, whether or not it is over. */
  secretFor(user: string, server: string): string | undefined {
    const source = sharedSource(this.#servers, server);
    if (source !== undefined) return this.shared.find(source);
    const sealed = this.#store.tokens.findFor(user, server);
    if (sealed === undefined) return undefined;
    // Where a provider is to give one, another service's is not sent meanwhile.
    if (sealed.server === GENERAL && this.#store.grants.find(user, server)) return undefined;
    return this.#vault.open(sealed.box, placeOf(user, sealed.server));
  }

  /**
   * As `secretFor`, and one of a provider is refreshed before, where it is over or will be soon; that is
   * waited for, 15 s at most. Rejects with TOKEN_EXPIRED where a provider's is over and no other is to
   * be had, and with the signal's reason.
   */
  async freshFor(user: string, server: string, signal: AbortSignal): Promise<string | undefined> {
    const source = sharedSource(this.#servers, server);
    if (source !== undefined) return await this.shared.fresh(source, signal);
    const row = this.#store.grants.find(user, server);
    const now = row && (await this.refresher.freshen(row, signal));
    if (now !== undefined && !isGood(now)) throw tokenExpired(this, now);
    const secret = this.secretFor(user, server);
    if (secret === undefined && needsToken(this.#servers.find(server)))
      throw tokenMissing(this, user, server);
    return secret;
  }

  /**
   * What a call has to wait for whose token of a provider is over, or was when another came, so that what
   * runs may have it still; undefined for all others. Rejects as `freshFor`.
   */
  renewalOf(user: string, server: string): Promise<unknown> | undefined {
    const source = sharedSource(this.#servers, server);
    const row = source === undefined ? this.#store.grants.find(user, server) : undefined;
    const isOver =
      source === undefined
        ? row !== undefined && !isGood(row)
        : this.shared.find(source) === undefined;
    const isMissing =
      row === undefined && needsToken(this.#servers.find(server)) && !this.secretFor(user, server);
    if (isOver || isMissing) return this.freshFor(user, server, this.#closing.signal);
    return this.#lateOnes.has(`${user}/${server}`) ? Promise.resolve() : undefined;
  }

  /** What runs for the user has the token of now. */
  handedOver(user: string, server: string): void {
    this.#lateOnes.delete(`${user}/${server}`);
  }

  /** Asks the provider for a new token now. TOKEN_NOT_FOUND where no provider gives the user one for that server, or TOKEN_EXPIRED with why there is no new one. */
  async refresh(user: string, server: string): Promise<void> {
    this.#requireUser(user);
    const row = this.#store.grants.find(user, server);
    if (row === undefined)
      throw new SupervisorError("TOKEN_NOT_FOUND", `there is no token of a provider for ${server}`);
    if (row.state === "needs_reauth") throw tokenExpired(this, row);
    await this.refresher.refresh(row);
  }

  /** The servers for which the user has a refresh token. USER_NOT_FOUND. */
  refreshable(user: string): string[] {
    return this.#store.grants.of(this.#requireUser(user).id).map(({ server }) => server);
  }

  /** Why the provider refuses this installation, whatever the token; undefined where it does not. */
  refusalOf(provider: string): string | undefined {
    return this.refresher.blockOf(provider) ?? this.shared.refusalOf(provider);
  }

  /** Providers may be others by now: what was held against them is forgotten. */
  reloaded(): void {
    this.shared.reloaded();
    this.refresher.reloaded();
  }

  /** Resolves when no provider is being asked any more. */
  async close(): Promise<void> {
    this.#closing.abort(new SupervisorError("STOPPING", "the supervisor is stopping"));
    await Promise.all([this.refresher.close(), this.shared.close(), this.connects.close()]);
  }

  #changed(user: string, server: string | null, isCleared: boolean): void {
    if (server !== null) {
      this.refresher.forget({ user, server });
      this.connects.forget(user, server);
    }
    this.events.emit("changed", { user, server, isCleared });
  }

  /** A user who is not on the way out. */
  #requireOwner(name: string): UserRow {
    const row = this.#requireUser(name);
    if (row.state !== "removing") return row;
    throw new SupervisorError("USER_NOT_FOUND", "the user is being removed");
  }

  #requireUser(name: string): UserRow {
    const row = SLUG.test(name) ? this.#store.users.find(name) : undefined;
    if (row === undefined) throw new SupervisorError("USER_NOT_FOUND", "no such user");
    return row;
  }
}

function shown(row: GrantRow | undefined): StoredGrant | null {
  if (row === undefined) return null;
  const { provider, refreshExpiresAt, refreshedAt, state, since, reason } = row;
  const lost = state === "needs_reauth" ? { since, reason: reason ?? "refused" } : null;
  const { outcome: lastResult, outcomeAt: lastTriedAt } = row;
  return { provider, refreshExpiresAt, refreshedAt, lastResult, lastTriedAt, needsReauth: lost };
}

/** Bound into the box: a row that is moved to another user or server does not open there. */
function placeOf(user: string, server: string): string {
  return `tokens|${user}|${server}`;
}

/** Tells one token from every other, and no token; a short token could be guessed from it, so it is kept sealed only. */
export const markOf = (token: string | undefined): string =>
  token === undefined ? "" : createHash("sha256").update(token).digest("base64");
