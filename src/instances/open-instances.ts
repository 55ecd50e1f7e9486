import { childServers } from "../config/child-servers.ts";
import type { Controller } from "../engines/process/cgroup.ts";
import { unkeptLimits } from "../engines/process/limits.ts";
import type { Unkept } from "../engines/process/limits.ts";
import { openProcessEngine } from "../engines/process/process-engine.ts";
import { RemoteEngine } from "../engines/remote/remote-engine.ts";
import { reportOpening } from "../engines/process/report-opening.ts";
import type { Closers } from "../platform/closers.ts";
import type { Store } from "../store/store.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { openIsolation } from "../engines/process/isolation.ts";
import type { Isolation } from "../engines/process/isolation.ts";
import { reportIsolation } from "../engines/process/report-isolation.ts";
import { Supervisor } from "./supervisor.ts";
import type { SupervisorOptions } from "./supervisor.ts";

export interface InstancesOptions extends Omit<
  SupervisorOptions,
  "isolation" | "engines" | "eras" | "versions"
> {
  scrubber: Scrubber;
  store: Store;
}

export interface OpenInstances {
  supervisor: Supervisor;
  isolation: Isolation;
  /** Limits of the config that nothing keeps on this machine. */
  unkept: readonly Unkept[];
  /** The delegated controllers of cgroups. */
  controllers: ReadonlySet<Controller>;
}

/**
 * Opens what children run with, and logs what this machine cannot give them: isolation, engine,
 * supervisor. Rejects with ISOLATION_UNAVAILABLE and as the engine does; the closers have then what
 * was opened.
 */
export async function openInstances(
  { store, ...options }: InstancesOptions,
  closers: Closers,
): Promise<OpenInstances> {
  const { config, log } = options;
  const isolation = closers.opened(await openIsolation(config, store));
  reportIsolation(config, isolation, log);
  const child = closers.opened(await openProcessEngine({ config, isolation, log }));
  const left = await child.endLeft();
  const { controllers } = child;
  const unkept = unkeptLimits(childServers(config), controllers);
  reportOpening(child, left, unkept, log);
  const engines = { child, remote: closers.opened(new RemoteEngine()) };
  const [eras, versions] = [store.meta.under("era"), store.meta.under("version")];
  const supervisor = new Supervisor({ ...options, isolation, engines, eras, versions });
  closers.push(() => supervisor.stopAll());
  return { supervisor, isolation, unkept, controllers };
}
