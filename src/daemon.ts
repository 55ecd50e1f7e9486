/** Room: daemon. The composition root: opens the rooms in order, wires them, closes them in reverse. In: a config. Out: a running daemon. Decides nothing. */
import { openControl } from "./api/control.ts";
import { Audit } from "./audit/audit.ts";
import type { Config } from "./config/config.ts";
import { counted } from "./errors.ts";
import { openGateway } from "./gateway/gateway.ts";
import type { Gateway } from "./gateway/gateway.ts";
import { countChildren } from "./instances/children.ts";
import { openInstances } from "./instances/open-instances.ts";
import { beginBackground } from "./operations/background.ts";
import { ChildSecrets } from "./operations/child-secrets.ts";
import { discardWith, followChanges } from "./operations/follow-changes.ts";
import { openRegistry } from "./operations/open-registry.ts";
import { auditedReload } from "./operations/reload.ts";
import type { Reloaded } from "./operations/reload.ts";
import { finishRemovals } from "./operations/removal.ts";
import { openServers } from "./operations/server-book.ts";
import { takeOrders } from "./operations/take-orders.ts";
import { openOrClose } from "./platform/closers.ts";
import type { Closers } from "./platform/closers.ts";
import { openSessions } from "./sessions/open-sessions.ts";
import { openDataDir } from "./store/store.ts";
import type { Logger } from "./telemetry/logger.ts";
import type { Scrubber } from "./telemetry/scrubber.ts";
import { openTelemetry } from "./telemetry/telemetry.ts";
import { Tools } from "./tools/tools.ts";
import { Tokens } from "./tokens/tokens.ts";
import { openDaemonVault } from "./vault/daemon-vault.ts";

export interface DaemonOptions {
  config: Config;
  log: Logger;
  /** The one that the log goes through; live secrets are made known to it. */
  scrubber: Scrubber;
  version: string;
  /** The gateway's listener, where the service manager opened it already. */
  listenFd?: number | undefined;
}

export interface Daemon extends Pick<Gateway, "address" | "publicUrl" | "answersItself"> {
  readonly adminAddress: { host: string; port: number } | null;
  readonly userCount: number;
  /** How much it serves, in a line. */
  summary(): string;
  /** Reads the config file again, at a SIGHUP; rejects with what is wrong with it, and has then changed nothing. */
  reload(): Promise<Reloaded>;
  /** Ends streams, stops children, closes files, in reverse order of opening; resolves when nothing is left. */
  close(): Promise<void>;
  /** SIGKILL to every child, without waiting: for the end that cannot wait. */
  killChildren(): void;
}

/**
 * Opens a daemon on the config's data folder. Rejects with ALREADY_RUNNING, ISOLATION_UNAVAILABLE,
 * KEY_FILE_REFUSED, SCHEMA_TOO_NEW, STORE_FAILED or LISTEN_FAILED, and then leaves nothing open.
 */
export async function openDaemon(options: DaemonOptions): Promise<Daemon> {
  return await openOrClose(options.log, (closers) => openRooms(options, closers));
}

async function openRooms(options: DaemonOptions, closers: Closers): Promise<Daemon> {
  const { config, log, scrubber, version } = options;
  const { store } = closers.opened(openDataDir(config.dataDir));
  const audit = closers.opened(new Audit({ rows: store.audit, scrubber, log }));
  const vault = closers.opened(openDaemonVault(options, store));
  const { catalog, ...known } = openServers({ ...options, store, vault });
  const tokens = closers.opened(new Tokens({ ...options, servers: catalog, store, vault }));
  const registry = openRegistry({ ...options, audit, catalog }, store);
  const secrets = new ChildSecrets({ registry, tokens, scrubber, log });
  const kept = { store, vault, tokens, catalog, ...secrets.forChildren };
  const instances = await openInstances({ ...options, ...kept }, closers);
  secrets.unhideAfterUse(instances.supervisor);
  const telemetry = openTelemetry(options, closers);
  const heard = { ...options, ...kept, ...instances, ...telemetry };
  const discard = discardWith(instances.supervisor, log);
  const sessions = openSessions({ ...heard, discard }, closers);
  const tools = new Tools({ config, catalog, sessions, tokens, ...instances });
  const opened = { ...options, ...instances, ...telemetry, registry, catalog, sessions, audit };
  const rooms = { ...opened, tools, tokens };
  followChanges(rooms);
  // Before anybody can connect: a user who is on the way out must not be seen again.
  await finishRemovals(rooms);
  const notices = beginBackground({ ...rooms, store, vault }, closers);
  const gateway = closers.opened(await openGateway(rooms));
  const { reload, servers } = await takeOrders({ ...rooms, ...known });
  const { keyring } = vault;
  const orders = { publicUrl: gateway.publicUrl, reload, servers, store, notices, keyring };
  const control = closers.opened(await openControl({ ...rooms, ...orders }));
  log.info({ ...gateway.address, version }, "serving");
  const children = (): string => counted(countChildren(instances.supervisor), "child", "children");
  return {
    ...gateway,
    adminAddress: control.address,
    userCount: registry.countUsers(),
    summary: () => `${counted(registry.countUsers(), "user")}, ${children()}`,
    reload: auditedReload(audit, "SIGHUP", reload),
    close: () => closers.close(),
    killChildren: () => instances.supervisor.killAll(),
  };
}
