import type { EventEmitter } from "node:events";
import type { ChildServer, Config, RemoteServer, ServerDef } from "../config/config.ts";
import type { Engine } from "../engines/engine.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Ref, SupervisorEvents } from "./instance-types.ts";
import type { LaunchInput } from "./launch-types.ts";
import type { StartScheduler } from "./start-scheduler.ts";

/** By what a server is: a child of ours, or one that runs elsewhere already. */
export interface Engines {
  child: Engine<ChildServer>;
  remote: Engine<RemoteServer>;
}

/** What all instances share. */
export interface InstanceContext extends Pick<LaunchInput, "version" | "versions"> {
  config: Config;
  engines: Engines;
  servers: (name: string) => ServerDef | undefined;
  secretsFor: (user: string, server: string) => string | undefined;
  log: Logger;
  scheduler: StartScheduler;
  events: EventEmitter<SupervisorEvents>;
  onExposed: (server: string, addresses: readonly string[]) => void;
  /** Resolves when the instance of this ref may have a child; see Admission. */
  admit: (ref: Ref, signal: AbortSignal) => Promise<void>;
}
