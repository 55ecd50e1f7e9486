import { openMachine } from "../engines/process/open.ts";
import type { MachineFacts } from "../engines/process/open.ts";
import { RemoteEngine } from "../engines/remote/remote-engine.ts";
import type { Closers } from "../platform/closers.ts";
import type { Store } from "../store/store.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { Supervisor } from "./supervisor.ts";
import type { SupervisorOptions } from "./supervisor.ts";

export interface InstancesOptions extends Omit<SupervisorOptions, "engines" | "eras" | "versions"> {
  scrubber: Scrubber;
  store: Store;
}

export interface OpenInstances extends MachineFacts {
  supervisor: Supervisor;
}

/** Opens the engines, and the supervisor of what they run. Rejects as `openMachine`; the closers have then what was opened. */
export async function openInstances(
  { store, ...options }: InstancesOptions,
  closers: Closers,
): Promise<OpenInstances> {
  const { engine, ...facts } = await openMachine({ ...options, store }, closers);
  const engines = { child: engine, remote: closers.opened(new RemoteEngine()) };
  const [eras, versions] = [store.meta.under("era"), store.meta.under("version")];
  const supervisor = new Supervisor({ ...options, engines, eras, versions });
  closers.push(() => supervisor.stopAll());
  return { supervisor, ...facts };
}
