/** Room: daemon. The composition root: opens the rooms in order, wires their events, closes them in reverse. In: a config. Out: a running daemon. Decides nothing else. */
import { join } from "node:path";
import { Catalog } from "./catalog/catalog.ts";
import { Audit } from "./audit/audit.ts";
import { childServers } from "./config/child-servers.ts";
import type { Config } from "./config/config.ts";
import { openControl } from "./api/control.ts";
import { auditedReload, createReload } from "./operations/reload.ts";
import { finishRemovals } from "./operations/removal.ts";
import type { Reloaded } from "./api/types.ts";
import { onContained } from "./containment.ts";
import { SupervisorError, counted } from "./errors.ts";
import { openGateway } from "./gateway/gateway.ts";
import { answersItself } from "./http/self-check.ts";
import { Journal } from "./telemetry/journal.ts";
import type { Logger } from "./telemetry/logger.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { Requests } from "./telemetry/requests.ts";
import { MIN_SECRET_LENGTH, Scrubber } from "./telemetry/scrubber.ts";
import { Registry } from "./auth/registry.ts";
import { confinementGaps } from "./engines/process/gaps.ts";
import { KEEP_LIMITS, unkeptLimits } from "./engines/process/limits.ts";
import type { Unkept } from "./engines/process/limits.ts";
import { openProcessRunner } from "./engines/process/process-runner.ts";
import type { ProcessRunner } from "./engines/process/process-runner.ts";
import { Sessions } from "./sessions/sessions.ts";
import { lockDataDir } from "./store/lock.ts";
import { DATABASE_FILE, openStore } from "./store/store.ts";
import { headerHider } from "./instances/header-hider.ts";
import { openIsolation } from "./instances/isolation.ts";
import type { Isolation } from "./instances/isolation.ts";
import { Supervisor } from "./instances/supervisor.ts";
import { openTokens } from "./tokens/tokens.ts";
import type { Tokens } from "./tokens/tokens.ts";
import { openVault } from "./vault/vault.ts";

export interface DaemonOptions {
  config: Config;
  log: Logger;
  /** The one that the log goes through; live secrets are made known to it. */
  scrubber?: Scrubber;
  version: string;
  /** The gateway's listener, where the service manager opened it already. */
  listenFd?: number | undefined;
}

export interface Daemon {
  /** Where the gateway listens; the port is the real one where the config says 0. */
  readonly address: { host: string; port: number };
  readonly publicUrl: URL;
  readonly controlSocket: string;
  readonly adminAddress: { host: string; port: number } | null;
  readonly userCount: number;
  /** How much it serves, in a line. */
  summary(): string;
  /** Whether the gateway answers a request of the daemon's own within that time. */
  answersItself(withinMs: number): Promise<boolean>;
  /** Reads the config file again, at a SIGHUP; rejects with what is wrong with it, and has then changed nothing. */
  reload(): Promise<Reloaded>;
  /** Ends streams, stops children, closes files, in reverse order of opening; resolves when nothing is left. */
  close(): Promise<void>;
  /** SIGKILL to every child, without waiting: for the end that cannot wait. */
  killChildren(): void;
}

/** Closers in order of opening; they run in reverse, all of them, and the first failure is kept. */
class Closers {
  readonly #closers: (() => unknown)[] = [];
  #closing: Promise<void> | undefined;

  push(closer: () => unknown): void {
    this.#closers.push(closer);
  }

  async close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    await this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const closer of this.#closers.toReversed()) {
      try {
        await closer();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

async function openRunner(
  config: Config,
  isolation: Isolation,
  log: Logger,
): Promise<{ runner: ProcessRunner; unkept: Unkept[] }> {
  const runner = await openProcessRunner(config.dataDir, isolation.accounts());
  if (runner.delegationFailure)
    log.error({ err: runner.delegationFailure }, "the delegated cgroup cannot be used");
  const unkept = unkeptLimits(childServers(config), runner.controllers);
  if (unkept.length > 0)
    log.warn(
      { unkept },
      `limits of the config that are not in force; to have them, ${KEEP_LIMITS}`,
    );
  const { count, left } = runner.reaped;
  if (count > 0) log.warn({ count }, "ended processes that an earlier daemon had left behind");
  if (left.length > 0) {
    const pids = left.map(({ pid }) => pid);
    log.error({ pids }, "processes that an earlier daemon had left behind could not be ended");
  }
  return { runner, unkept };
}

function sayWhatIsOdd(config: Config, isolation: Isolation, log: Logger): void {
  const { level, machine } = isolation;
  if (level === "none")
    log.warn(
      "isolation is \"none\": children run as the daemon's own account and can read each other's tokens",
    );
  for (const { found, next } of confinementGaps(machine, childServers(config)))
    log.warn(`${found}; to have that closed, ${next}`);
  for (const warning of isolation.warningsOf(config)) log.warn(`config: ${warning}`);
}

interface Rooms {
  registry: Registry;
  tokens: Tokens;
  supervisor: Supervisor;
  sessions: Sessions;
  log: Logger;
}

/** A token is live while an instance that was started with it is. */
function unhideAfterUse(supervisor: Supervisor, scrubber: Scrubber): void {
  supervisor.events.on("state", ({ ref: { user, server }, state }) => {
    if (state !== "stopped") return;
    const rows = supervisor.list({ user, server });
    if (rows.every((row) => row.state === "stopped")) scrubber.delete(`token ${user}/${server}`);
  });
}

/** Who must hear of what. Streams end within the event, so before the change is acknowledged. */
function wire({ registry, tokens, supervisor, sessions, log }: Rooms): void {
  const settle = (user: string, work: Promise<void>): void => {
    work.catch((error: unknown) => log.error({ user, err: error }, "a child could not be stopped"));
  };
  registry.events.on("key-ended", (key) => sessions.closeKey(key));
  registry.events.on("user-ended", ({ user }) => {
    sessions.closeUser(user);
    settle(user, supervisor.stop({ user }, "stopped: the user may not come in any more"));
  });
  tokens.events.on("changed", ({ user, server }) => {
    settle(user, supervisor.renew({ user, server: server ?? undefined }, "the token changed"));
  });
}

/**
 * Opens a daemon on the config's data folder.
 *
 * Rejects with ALREADY_RUNNING, ISOLATION_UNAVAILABLE, KEY_FILE_REFUSED, SCHEMA_TOO_NEW,
 * STORE_FAILED or LISTEN_FAILED, and then leaves nothing open.
 */
export async function openDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config, log, scrubber = new Scrubber(), version, listenFd } = options;
  const closers = new Closers();
  const hideHeaders = headerHider(scrubber);
  hideHeaders(config.servers);
  try {
    const lock = lockDataDir(config.dataDir);
    closers.push(() => lock.release());
    const store = openStore(join(config.dataDir, DATABASE_FILE));
    closers.push(() => store.close());
    const audit = new Audit({ rows: store.audit, scrubber, log });
    closers.push(() => audit.close());
    const vault = openVault({
      keyFile: config.keyFile,
      store,
      hide: (key) => void scrubber.set("vault key", key),
    });
    const registry = new Registry(store);
    const catalog = new Catalog(config.servers);
    const tokens = openTokens({ store, vault });
    const isolation = await openIsolation(config, store);
    closers.push(() => isolation.close());
    sayWhatIsOdd(config, isolation, log);
    const { runner, unkept } = await openRunner(config, isolation, log);
    closers.push(() => runner.close());
    const hide = (user: string, server: string, token: string): void => {
      if (scrubber.set(`token ${user}/${server}`, token)) return;
      log.warn(
        { user, server },
        `the token is shorter than ${MIN_SECRET_LENGTH} characters, so it cannot be told from other text and is not removed from logs`,
      );
    };
    const supervisor = new Supervisor({
      config,
      version,
      servers: (name) => catalog.find(name),
      // Asked at each start, so this is where a request that was let in before its user was disabled,
      // and is only now at the child, finds the door shut.
      secretsFor: (user, server) => {
        if (registry.findUser(user)?.state !== "enabled")
          throw new SupervisorError("USER_DISABLED", "the user may not come in any more");
        const token = tokens.secretFor(user, server);
        if (token !== undefined) hide(user, server, token);
        return token;
      },
      log,
      start: runner.start,
      isolation,
      eras: store.meta.under("era"),
      versions: store.meta.under("version"),
      scrubber,
    });
    unhideAfterUse(supervisor, scrubber);
    closers.push(() => supervisor.stopAll());
    const sessions = new Sessions({
      config,
      instanceOf: (ref, capabilities, wanted) => supervisor.instance(ref, capabilities, wanted),
      eraOf: (ref) => supervisor.eraOf(ref),
      discard: ({ ref }) => {
        supervisor.forget(ref, "its session is over").catch((error: unknown) => {
          log.error({ ...ref, err: error }, "a child could not be ended with its session");
        });
      },
    });
    closers.push(() => sessions.close());
    wire({ registry, tokens, supervisor, sessions, log });
    // Before anybody can connect: a user who is on the way out must not be seen again.
    await finishRemovals({ config, registry, tokens, supervisor, sessions, log });

    const journal = new Journal();
    const metrics = new Metrics(config.metrics);
    closers.push(() => metrics.close());
    onContained(({ owner, failure, who }) => {
      metrics.contained(owner);
      const { cause = failure } = failure;
      log.error({ owner, ...who, err: cause }, `contained: a failure here ended one ${owner}`);
    });
    supervisor.events.on("failed", ({ ref }) => metrics.failed(ref.server));
    supervisor.events.on("restarted", ({ ref }) => metrics.restarted(ref.server));
    supervisor.events.on("state", ({ ref, state }) => {
      if (state === "ready") metrics.started(ref.server);
    });
    const requests = new Requests({ log, journal, metrics, scrubber });
    const gateway = await openGateway({
      config,
      registry,
      catalog,
      sessions,
      supervisor,
      log,
      requests,
      audit,
      version,
      listenFd,
    });
    closers.push(() => gateway.close());
    const { address } = gateway;
    if (config.listen.port !== 0 && address.port !== config.listen.port)
      log.warn(
        { handedOver: address, configured: config.listen },
        "the listener that systemd handed over is not the one of the config: change one of them",
      );
    const publicUrl = new URL(config.publicUrl);
    if (publicUrl.port === "0") publicUrl.port = String(address.port);
    const check = async (next: Config): Promise<string[]> => {
      await isolation.admit(next);
      hideHeaders(next.servers);
      return isolation.warningsOf(next);
    };
    const reload = createReload({ config, catalog, supervisor, sessions, log, check });
    const control = await openControl({
      reload,
      config,
      publicUrl,
      version,
      store,
      registry,
      catalog,
      tokens,
      supervisor,
      sessions,
      log,
      scrubber,
      audit,
      metrics,
      journal,
      requests,
      unkept,
      controllers: runner.controllers,
      isolation,
    });
    closers.push(() => control.close());
    log.info({ ...address, version }, "serving");
    return {
      address,
      publicUrl,
      controlSocket: config.controlSocket,
      adminAddress: control.address,
      userCount: registry.countUsers(),
      summary: () => summaryOf(registry, supervisor),
      answersItself: (withinMs) => answersItself({ ...address, path: "/health" }, withinMs),
      reload: auditedReload(audit, "SIGHUP", reload),
      close: () => closers.close(),
      killChildren: () => killGroups(supervisor),
    };
  } catch (error) {
    await closers.close().catch((failure: unknown) => {
      log.error({ err: failure }, "closing after a failed start failed too");
    });
    throw error;
  }
}

function summaryOf(registry: Registry, supervisor: Supervisor): string {
  const users = registry.countUsers();
  const children = supervisor.list().filter(({ pid }) => pid !== null).length;
  return `${counted(users, "user")}, ${counted(children, "child", "children")}`;
}

function killGroups(supervisor: Supervisor): void {
  for (const { pid } of supervisor.list()) {
    if (pid === null) continue;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It is gone already, which is what was wanted.
    }
  }
}
