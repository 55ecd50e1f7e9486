import type { Audit } from "../audit/audit.ts";
import type { Config } from "../config/config.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Journal } from "../telemetry/journal.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Requests } from "../telemetry/requests.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { RefusedReplays } from "../telemetry/survival.ts";
import type { Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Controller } from "../engines/process/cgroup.ts";
import type { NetworkEnforcement } from "../engines/kubernetes/enforcement.ts";
import type { Authorities } from "../engines/kubernetes/authorities.ts";
import type { Unkept } from "../engines/process/limits.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { AdminSessions } from "./admin-sessions.ts";
import type { Reloaded } from "./types.ts";
import type { Store } from "../store/store.ts";
import type { Isolation } from "../engines/process/isolation.ts";
import type { Manifests } from "../instances/manifests.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Notices } from "../notices/notices.ts";
import type { ServerOrders } from "../operations/server-orders.ts";
import type { Tools } from "../tools/tools.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Keyring } from "../vault/keyring.ts";

/** What the control API works on. */
export interface ControlParts {
  config: Config;
  /** What personal URLs start with; differs from the config's where that leaves the port to the system. */
  publicUrl: URL;
  version: string;
  store: Pick<Store, "transaction" | "copyTo" | "history" | "users" | "access" | "pods">;
  registry: Registry;
  catalog: Catalog;
  servers: ServerOrders;
  tokens: Tokens;
  keyring: Keyring;
  /** Of the pods; null where there is no cluster. */
  authorities: Pick<Authorities, "rotate"> | null;
  networks: Pick<NetworkEnforcement, "last"> | null;
  supervisor: Supervisor;
  manifests: Pick<Manifests, "forget">;
  tools: Tools;
  sessions: Pick<
    Sessions,
    "closeUser" | "closeServer" | "count" | "open" | "unread" | "records" | "closeWhere"
  >;
  /** Reads the config file again; see createReload. */
  reload: () => Promise<Reloaded>;
  log: Logger;
  audit: Audit;
  notices: Pick<Notices, "counts" | "test" | "troubles">;
  metrics: Metrics;
  journal: Journal;
  refusedReplays: Pick<RefusedReplays, "of">;
  requests: Pick<Requests, "refusedUnread">;
  /** Limits of the config that nothing keeps on this machine. */
  unkept: readonly Unkept[];
  /** The delegated controllers of cgroups. */
  controllers: ReadonlySet<Controller>;
  isolation: Pick<Isolation, "machine">;
  scrubber: Scrubber;
  adminSessions: AdminSessions;
  /** Where the TCP listener is; null without one. */
  adminAddress: () => { host: string; port: number } | null;
  /** Aborted when the control API closes: what would go on for ever ends its answer then. */
  closing: AbortSignal;
}
