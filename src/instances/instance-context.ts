import type { EventEmitter } from "node:events";
import type { Config, ServerDef } from "../config/config.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import type { Ref, SupervisorEvents } from "./instance-types.ts";
import type { LaunchInput } from "./launch.ts";
import type { StartScheduler } from "./start-scheduler.ts";

/** What all instances share. */
export interface InstanceContext extends Pick<
  LaunchInput,
  "version" | "versions" | "ports" | "isolation" | "start"
> {
  config: Config;
  servers: (name: string) => ServerDef | undefined;
  secretsFor: (user: string, server: string) => string | undefined;
  log: Logger;
  scrubber: Scrubber;
  turns: StartScheduler;
  events: EventEmitter<SupervisorEvents>;
  onExposed: (server: string, addresses: readonly string[]) => void;
  /** Resolves when the instance of this ref may have a child; see Admission. */
  admit: (ref: Ref, signal: AbortSignal) => Promise<void>;
}
