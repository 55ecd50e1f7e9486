import { childServers } from "../../config/child-servers.ts";
import type { Servers } from "../../catalog/catalog.ts";
import type { Config } from "../../config/config.ts";
import type { Closers } from "../../platform/closers.ts";
import type { Store } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Controller } from "./cgroup.ts";
import { openIsolation } from "./isolation.ts";
import type { Isolation } from "./isolation.ts";
import { unkeptLimits } from "./limits.ts";
import type { Unkept } from "./limits.ts";
import { openProcessEngine } from "./process-engine.ts";
import type { ProcessEngine } from "./process-engine.ts";
import { reportIsolation } from "./report-isolation.ts";
import { reportOpening } from "./report-opening.ts";

/** What an admin may ask of this machine. */
export interface MachineFacts {
  isolation: Isolation;
  /** Limits of the config that nothing keeps on this machine. */
  unkept: readonly Unkept[];
  /** The delegated controllers of cgroups. */
  controllers: ReadonlySet<Controller>;
}

/**
 * Opens the engine of this machine, ends what earlier daemons left here, and logs what the machine
 * cannot give. Rejects with ISOLATION_UNAVAILABLE, DISK_FULL, RESOURCES_EXHAUSTED or INTERNAL; the
 * closers have then what was opened.
 */
export async function openMachine(
  { config, servers, store, log }: { config: Config; servers: Servers; store: Store; log: Logger },
  closers: Closers,
): Promise<MachineFacts & { engine: ProcessEngine }> {
  const isolation = closers.opened(await openIsolation(config, store, servers));
  reportIsolation(config, servers.list(), isolation, log);
  const engine = closers.opened(await openProcessEngine({ config, isolation, log }));
  const left = await engine.endLeft();
  const { controllers } = engine;
  const unkept = unkeptLimits(childServers(servers.list()), controllers);
  reportOpening(engine, left, unkept, log);
  return { engine, isolation, unkept, controllers };
}
