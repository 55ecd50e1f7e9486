import type { EventEmitter } from "node:events";
import type {
  BuiltinServer,
  ChildServer,
  Config,
  RemoteServer,
  ServerDef,
} from "../config/config.ts";
import { isPodServer } from "../config/child-servers.ts";
import { SupervisorError } from "../errors.ts";
import type { Engine, Left, Workload } from "../engines/engine.ts";
import type { Candidate } from "./admission.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Ref, SupervisorEvents } from "./instance-types.ts";
import type { LaunchInput } from "./launch-types.ts";
import type { StartScheduler } from "./start-scheduler.ts";

/** By what a server is: a child of ours, one that runs elsewhere already, or part of the daemon. */
export interface Engines {
  child: Engine<ChildServer>;
  /** Of children that are pods; absent where there is no cluster. */
  pods?: PodEngine | undefined;
  remote: Engine<RemoteServer>;
  builtin: Engine<BuiltinServer>;
}

/** An engine whose children outlive the daemon. */
export interface PodEngine extends Engine<ChildServer> {
  findLeft(): Promise<readonly (Left & { readonly ref: Ref })[]>;
  /** Whether `start` would take over what an earlier daemon left of this instance. */
  hasLeft(workload: Workload<ChildServer>): boolean;
  /** Until when, as epoch ms, a child of this user's (and server's) may live that nobody can reach; undefined where there is none. */
  mayLiveUntil(user: string, server?: string): number | undefined;
}

/** The engine of a server's children. */
export function engineOf({ child, pods }: Engines, def: ChildServer): Engine<ChildServer> {
  if (!isPodServer(def)) return child;
  if (pods !== undefined) return pods;
  const what = `${def.name} runs in pods, and the daemon was started without a cluster: restart it`;
  throw new SupervisorError("INSTANCE_SPAWN_FAILED", what);
}

/**
 * The token that goes to this generation of the user's child, asked at its start, which waits for it;
 * a child that serves nobody is generation 0. Rejects with what keeps the child from being started.
 */
export type SecretsFor = (
  ref: Ref,
  generation: number,
  signal: AbortSignal,
) => Promise<string | undefined>;

/** The token that a generation that runs may be handed in place of the one that it was started with; throws where it may have none. */
export type SecretNow = (ref: Ref, generation: number) => string | undefined;

/** What all instances share. */
export interface InstanceContext extends Pick<LaunchInput, "version" | "versions"> {
  config: Config;
  engines: Engines;
  /** The server of that name; for a user only one that they may use. */
  servers: (name: string, user?: string) => ServerDef | undefined;
  secretsFor: SecretsFor;
  secretNow: SecretNow;
  log: Logger;
  scheduler: StartScheduler;
  /** Of pods, which take nothing of this machine. */
  podScheduler: StartScheduler;
  events: EventEmitter<SupervisorEvents>;
  onExposed: (server: string, addresses: readonly string[]) => void;
  /** Of a generation's place among all children; see Admission. */
  admit: (generation: Candidate, signal: AbortSignal) => Promise<void>;
  admitBeside: (generation: Candidate, before: Candidate) => Promise<boolean>;
  makeRoom: (generation: Candidate) => Promise<boolean>;
  left: (generation: Candidate) => void;
}

/** Whose turn it is to start among this server's like. */
export const schedulerOf = (
  { scheduler, podScheduler }: Pick<InstanceContext, "scheduler" | "podScheduler">,
  def: ChildServer,
): StartScheduler => (isPodServer(def) ? podScheduler : scheduler);
