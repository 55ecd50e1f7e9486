import { EventEmitter } from "node:events";
import type { Servers } from "../catalog/catalog.ts";
import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { aborted } from "../platform/abort.ts";
import { withDeadline } from "../platform/deadline.ts";
import type { GrantRow, Store } from "../store/store.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Vault } from "../vault/vault.ts";
import type { ProviderClients } from "./providers/clients.ts";
import { dueAt, isOfLaterClock, leadOf, retryAfter } from "./refresh-plan.ts";
import { refreshOnce } from "./refresh-once.ts";
import type { RefreshParts, Refreshed } from "./refresh-once.ts";
import { Reserve } from "./reserve.ts";

const LOOK_EVERY_MS = 30_000;
/** How long a message or a start waits for a refresh. */
const PATIENCE_MS = 15_000;
const NOTE_USE_EVERY_MS = 3_600_000;

type Owner = Pick<GrantRow, "user" | "server">;
const keyOf = ({ user, server }: Owner): string => `${user}/${server}`;

export interface RefresherParts {
  store: Pick<Store, "grants" | "tokens" | "transaction" | "relaxed">;
  vault: Vault;
  config: Pick<Config, "dataDir">;
  servers: Servers;
  clients: ProviderClients;
  log: Logger;
}

export interface RefreshEvents {
  /** A provider was asked. */
  tried: [{ provider: string; outcome: Refreshed["kind"] }];
  /** The user has a new access token, which is on the disk; the one before was over, or serves still. */
  renewed: [Owner & { wasOver: boolean }];
}

interface Flight {
  readonly generation: number;
  readonly answer: Promise<Refreshed>;
}

/** A failed one waits for its next try. */
interface Pause {
  readonly timer: NodeJS.Timeout;
  /** `performance.now()`. */
  readonly until: number;
}

/** Keeps users' tokens of providers fresh: one call at a time for each, and each no sooner than it is needed. */
export class Refresher {
  readonly events = new EventEmitter<RefreshEvents>();
  readonly #parts: RefresherParts;
  readonly #once: RefreshParts;
  readonly #closing = new AbortController();
  readonly #late = new AbortController();
  readonly #flights = new Map<string, Flight>();
  readonly #pauses = new Map<string, Pause>();
  /** In a row. */
  readonly #failures = new Map<string, number>();
  /** Providers whose client is refused: asked again after a reload. */
  readonly #blocked = new Map<string, string>();
  #running: () => ReadonlySet<string> = () => new Set();
  #plan: NodeJS.Timeout | undefined;

  constructor(parts: RefresherParts) {
    this.#parts = parts;
    const reserve = new Reserve(parts.config.dataDir);
    this.#once = { ...parts, reserve, closing: this.#late.signal };
  }

  /**
   * From now on tokens are refreshed by plan. What a daemon that was killed had under way is asked for
   * at once, all others when they are due. `running` names the children there are, as `user/server`.
   */
  start(running: () => ReadonlySet<string>): void {
    this.#running = running;
    for (const row of this.#parts.store.grants.all())
      if (row.state === "inflight") this.#begin(row, false);
    this.#plan = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#plan.unref();
  }

  /** What was held against providers is forgotten: their config may have changed. */
  reloaded(): void {
    this.#blocked.clear();
    if (this.#plan !== undefined) this.#look();
  }

  /** The provider has taken the client: what was held against it is forgotten. */
  accepted(provider: string): void {
    this.#blocked.delete(provider);
  }

  /** Why the provider's client is refused, if it is. */
  blockOf(provider: string): string | undefined {
    return this.#blocked.get(provider);
  }

  /** Ends what is under way for the user's server: its result is dropped. */
  forget(owner: Owner): void {
    this.#flights.delete(keyOf(owner));
    this.#goOn(keyOf(owner));
  }

  /**
   * Sees that the user's token for the server is good for a while, where that is to be had; waits for
   * it, 15 s at most. Resolves with the row as it is then. Rejects with the signal's reason only.
   */
  async freshen(row: GrantRow, signal: AbortSignal): Promise<GrantRow | undefined> {
    const { grants } = this.#parts.store;
    this.#noteUse(row);
    const until = performance.now() + PATIENCE_MS;
    let now: GrantRow | undefined = row;
    while (now !== undefined && isEnding(now) && this.#canBeHad(now, until)) {
      const left = Math.max(1, until - performance.now());
      const over = withDeadline(
        this.#next(now).then(() => true),
        left,
        () => false,
      );
      const isAnswered = await Promise.race([over, aborted(signal)]);
      now = grants.find(row.user, row.server);
      const isNew = now !== undefined && now.generation !== row.generation && isGood(now);
      if (!isAnswered || isNew) break;
    }
    return now;
  }

  /** Asks the provider now, whatever the plan. Rejects with TOKEN_EXPIRED where it gives nothing. */
  async refresh(row: GrantRow): Promise<void> {
    this.#goOn(keyOf(row));
    this.#blocked.delete(row.provider);
    const outcome = await this.#begin(row, true).answer;
    if (outcome.kind === "ok" || outcome.kind === "dropped") return;
    throw new SupervisorError(
      "TOKEN_EXPIRED",
      `${keyOf(row)}: ${row.provider} gave no new token: ${outcome.message}`,
    );
  }

  /** Resolves when nothing is under way: what a provider was asked for is stored, or that is known to have failed. */
  async close(): Promise<void> {
    clearInterval(this.#plan);
    for (const { timer } of this.#pauses.values()) clearTimeout(timer);
    this.#closing.abort(new SupervisorError("STOPPING", "the supervisor is stopping"));
    const all = Promise.allSettled([...this.#flights.values()].map(({ answer }) => answer));
    await withDeadline(all, PATIENCE_MS + 1000, () => []);
    this.#late.abort();
    this.#once.reserve.free();
  }

  #look(): void {
    const now = Date.now();
    const running = this.#running();
    for (const row of this.#parts.store.grants.all()) {
      if (this.#pauses.has(keyOf(row)) || !this.#canBeAsked(row)) continue;
      const due = dueAt(row, running.has(keyOf(row)), now);
      if (due !== undefined && due <= now) this.#begin(row, false);
    }
  }

  /** Whether a try is under way, or will be in time. */
  #canBeHad(row: GrantRow, until: number): boolean {
    if (row.state === "needs_reauth" || !this.#canBeAsked(row)) return false;
    const pause = this.#pauses.get(keyOf(row));
    if (pause === undefined) return performance.now() < until;
    // What serves still is not held up by a provider that is down.
    return !isGood(row) && pause.until < until;
  }

  /** The try that is under way, or the next one. */
  async #next(row: GrantRow): Promise<unknown> {
    const pause = this.#pauses.get(keyOf(row));
    if (pause === undefined) return await this.#begin(row, true).answer.catch(() => undefined);
    await new Promise((resolve) => {
      setTimeout(resolve, Math.max(0, pause.until - performance.now()) + 1).unref();
    });
    return undefined;
  }

  #canBeAsked(row: GrantRow): boolean {
    const isClosing = this.#closing.signal.aborted;
    return !isClosing && this.#isOurs(row) && !this.#blocked.has(row.provider);
  }

  /** The server's tokens are this provider's still. */
  #isOurs({ server, provider }: GrantRow): boolean {
    const { servers, clients } = this.#parts;
    return (
      servers.find(server)?.tokensFrom?.provider === provider &&
      clients.find(provider) !== undefined
    );
  }

  #begin(row: GrantRow, isUrgent: boolean): Flight {
    const key = keyOf(row);
    const known = this.#flights.get(key);
    if (known?.generation === row.generation) return known;
    const answer = this.#try(row, isUrgent);
    const flight = { generation: row.generation, answer };
    this.#flights.set(key, flight);
    const over = (): void => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    answer.then(over, over);
    return flight;
  }

  async #try(row: GrantRow, isUrgent: boolean): Promise<Refreshed> {
    const { provider } = row;
    const { store, clients, log } = this.#parts;
    const giveBack = await clients.turnsOf(provider).take(isUrgent, this.#closing.signal);
    try {
      const found = clients.find(provider);
      const current = store.grants.find(row.user, row.server);
      const isCurrent = current?.generation === row.generation && this.#canBeAsked(current);
      if (found === undefined || !isCurrent) return { kind: "dropped" };
      const outcome = await refreshOnce(this.#once, current, found);
      this.#tell(current, outcome);
      return outcome;
    } catch (error) {
      this.#pause(row, undefined);
      log.warn(
        { user: row.user, server: row.server, err: error },
        "a token cannot be refreshed now",
      );
      throw error;
    } finally {
      giveBack();
    }
  }

  #tell(row: GrantRow, outcome: Refreshed): void {
    const { user, server, provider } = row;
    const { log } = this.#parts;
    this.events.emit("tried", { provider, outcome: outcome.kind });
    if (outcome.kind === "dropped") return;
    if (outcome.kind === "ok") {
      this.#goOn(keyOf(row));
      log.info({ user, server, provider }, "token refreshed");
      this.#tellRenewed({ user, server, wasOver: !isGood(row) });
      return;
    }
    const { kind, message, retryAfterMs } = outcome;
    log.warn({ user, server, provider, outcome: kind }, `token not refreshed: ${message}`);
    if (kind === "config") this.#blocked.set(provider, message);
    else if (kind === "terminal") this.#goOn(keyOf(row));
    else this.#pause(row, retryAfterMs);
  }

  /** The token is stored, whatever those fail at who are told of it. */
  #tellRenewed(renewed: RefreshEvents["renewed"][0]): void {
    const { user, server } = renewed;
    try {
      this.events.emit("renewed", renewed);
    } catch (err) {
      this.#parts.log.error({ user, server, err }, "a new token could not be handed on");
    }
  }

  /** The next try comes later, by itself where it is due still. */
  #pause(row: GrantRow, askedMs: number | undefined): void {
    if (this.#closing.signal.aborted) return;
    const key = keyOf(row);
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const ms = retryAfter(failures, askedMs);
    const timer = setTimeout(() => {
      this.#pauses.delete(key);
      const current = this.#parts.store.grants.find(row.user, row.server);
      const now = Date.now();
      const due = current && dueAt(current, this.#running().has(key), now);
      if (current !== undefined && due !== undefined && due <= now) this.#begin(current, false);
    }, ms);
    timer.unref();
    this.#pauses.set(key, { timer, until: performance.now() + ms });
  }

  #goOn(key: string): void {
    clearTimeout(this.#pauses.get(key)?.timer);
    this.#pauses.delete(key);
    this.#failures.delete(key);
  }

  #noteUse(row: GrantRow): void {
    const now = Date.now();
    if (row.usedAt !== null && Math.abs(now - row.usedAt) < NOTE_USE_EVERY_MS) return;
    const { store } = this.#parts;
    try {
      store.relaxed(() => store.grants.used(row, now));
    } catch {
      // A full disk: it is noted with the next use.
    }
  }
}

/** Whether the access token can be used still. */
export const isGood = ({ expiresAt }: GrantRow): boolean =>
  expiresAt !== null && expiresAt > Date.now();

/** Over, or so soon that it is better refreshed before it is handed out. */
function isEnding({ expiresAt, lifetimeMs, refreshedAt }: GrantRow): boolean {
  const now = Date.now();
  if (expiresAt === null || isOfLaterClock(refreshedAt, lifetimeMs, now)) return true;
  return expiresAt - leadOf(lifetimeMs ?? 0) <= now;
}
