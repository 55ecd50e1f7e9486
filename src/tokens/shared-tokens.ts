import { EventEmitter } from "node:events";
import type { Servers } from "../catalog/catalog.ts";
import type { TokenSource } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { aborted } from "../platform/abort.ts";
import { withDeadline } from "../platform/deadline.ts";
import type { ProviderClients } from "./providers/clients.ts";
import { Refused } from "./providers/provider.ts";
import type { RefusalKind, SharedGrant } from "./providers/provider.ts";
import { isOfLaterClock, leadOf, retryAfter } from "./refresh-plan.ts";

const LOOK_EVERY_MS = 30_000;
const PATIENCE_MS = 15_000;

interface Shared {
  readonly value: string;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly lifetimeMs: number;
  readonly cameAt: number;
}

export interface SharedEvents {
  tried: [{ provider: string; outcome: "ok" | RefusalKind }];
  /** All children of the server are to have another token. */
  renewed: [{ server: string }];
}

type Source = TokenSource & { grant: SharedGrant };

/** The source of one token for all users; undefined where each has a token of their own. */
export function sharedSource(servers: Servers, server: string): Source | undefined {
  const source = servers.find(server)?.tokensFrom;
  return source == null || source.grant === "user" ? undefined : (source as Source);
}

const keyOf = ({ provider, grant }: Source): string => `${provider}/${grant}`;

/** Tokens that a provider gives to this installation. They are fetched when somebody wants them, and kept in memory only. */
export class SharedTokens {
  readonly events = new EventEmitter<SharedEvents>();
  readonly #servers: Servers;
  readonly #clients: ProviderClients;
  readonly #tokens = new Map<string, Shared>();
  readonly #flights = new Map<string, Promise<void>>();
  readonly #pauses = new Map<string, { failures: number; until: number; why: string }>();
  readonly #refusing = new Set<string>();
  readonly #closing = new AbortController();
  #plan: NodeJS.Timeout | undefined;

  constructor(servers: Servers, clients: ProviderClients) {
    this.#servers = servers;
    this.#clients = clients;
    this.events.on("tried", ({ provider, outcome }) => {
      if (outcome === "config") this.#refusing.add(provider);
      else this.#refusing.delete(provider);
    });
  }

  /** Why the provider gives none at all: the client is refused. */
  refusalOf(provider: string): string | undefined {
    return this.#refusing.has(provider) ? "its client is refused" : undefined;
  }

  /** From now on the tokens of servers that run are replaced before they end. `running` names them. */
  start(running: () => ReadonlySet<string>): void {
    this.#plan = setInterval(() => {
      for (const server of running()) this.#look(server);
    }, LOOK_EVERY_MS);
    this.#plan.unref();
  }

  /** The token, while it is good. */
  find(source: Source): string | undefined {
    const shared = this.#tokens.get(keyOf(source));
    return shared !== undefined && shared.expiresAt > Date.now() ? shared.value : undefined;
  }

  /** A token that is good for a while where that is to be had. Rejects with TOKEN_EXPIRED where there is none, or with the signal's reason. */
  async fresh(source: Source, signal: AbortSignal): Promise<string> {
    if (this.#isEnding(source) && !this.#isPaused(source)) {
      const asked = withDeadline(
        this.#ask(source).catch(() => {}),
        PATIENCE_MS,
        () => undefined,
      );
      await Promise.race([asked, aborted(signal)]);
    }
    const value = this.find(source);
    if (value !== undefined) return value;
    const why = this.#pauses.get(keyOf(source))?.why ?? "it did not answer in time";
    throw new SupervisorError(
      "TOKEN_EXPIRED",
      `${source.provider} gave no ${source.grant} token: ${why}`,
    );
  }

  /** Asks again at once where the provider refused. */
  reloaded(): void {
    this.#pauses.clear();
  }

  async close(): Promise<void> {
    clearInterval(this.#plan);
    this.#closing.abort(new SupervisorError("STOPPING", "the supervisor is stopping"));
    await Promise.allSettled(this.#flights.values());
  }

  #look(server: string): void {
    const source = sharedSource(this.#servers, server);
    if (source === undefined || !this.#tokens.has(keyOf(source))) return;
    if (this.#isEnding(source) && !this.#isPaused(source)) this.#ask(source).catch(() => {});
  }

  #isEnding(source: Source): boolean {
    const shared = this.#tokens.get(keyOf(source));
    const now = Date.now();
    if (shared === undefined || isOfLaterClock(shared.cameAt, shared.lifetimeMs, now)) return true;
    return shared.expiresAt - leadOf(shared.lifetimeMs) <= now;
  }

  #isPaused(source: Source): boolean {
    return (this.#pauses.get(keyOf(source))?.until ?? 0) > performance.now();
  }

  #ask(source: Source): Promise<void> {
    const key = keyOf(source);
    let flight = this.#flights.get(key);
    if (flight === undefined) {
      flight = this.#try(source).finally(() => this.#flights.delete(key));
      this.#flights.set(key, flight);
    }
    return flight;
  }

  async #try(source: Source): Promise<void> {
    const { provider, grant } = source;
    const key = keyOf(source);
    const found = this.#clients.find(provider);
    if (found === undefined) return;
    const { signal } = this.#closing;
    const giveBack = await this.#clients.turnsOf(provider).take(true, signal);
    try {
      const until = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
      const { accessToken, expiresInMs } = await found.client.issue(grant, until);
      const lifetimeMs = expiresInMs ?? found.def.defaultExpiresInMs;
      const before = this.#tokens.get(key);
      const cameAt = Date.now();
      const expiresAt = cameAt + lifetimeMs;
      this.#tokens.set(key, { value: accessToken, expiresAt, lifetimeMs, cameAt });
      this.#pauses.delete(key);
      this.events.emit("tried", { provider, outcome: "ok" });
      if (before !== undefined && before.value !== accessToken) this.#tellRenewed(key);
    } catch (error) {
      const { kind, message, retryAfterMs } =
        error instanceof Refused ? error : new Refused("transient", "its answer cannot be read");
      const failures = (this.#pauses.get(key)?.failures ?? 0) + 1;
      const ms = retryAfter(failures, retryAfterMs);
      this.#pauses.set(key, { failures, until: performance.now() + ms, why: message });
      this.events.emit("tried", { provider, outcome: kind });
      throw error;
    } finally {
      giveBack();
    }
  }

  #tellRenewed(key: string): void {
    for (const { name: server } of this.#servers.list()) {
      const source = sharedSource(this.#servers, server);
      if (source !== undefined && keyOf(source) === key) this.events.emit("renewed", { server });
    }
  }
}
