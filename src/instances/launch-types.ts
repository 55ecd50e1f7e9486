import type { ChildServer } from "../config/config.ts";
import type { Engine, OnLine, Running } from "../engines/engine.ts";
import type { SupervisorError } from "../errors.ts";
import type { Offers } from "../links/offers.ts";
import type { Target } from "../links/target.ts";
import type { DefinitionMemory } from "./definition.ts";
import type { Ref } from "./instance-types.ts";
import type { OutputLog } from "./output-log.ts";

export interface LaunchInput {
  ref: Ref;
  generation: number;
  def: ChildServer;
  /** What the clients of a stdio child declared, as JSON text. */
  capabilities: string;
  /** The version that a client asked for that waits for this start. */
  wanted: string | undefined;
  token: string | undefined;
  version: string;
  /** Which version a stdio server took that had refused another. */
  versions: DefinitionMemory;
  resumeWindowMs: number;
  startTimeoutMs: number;
  engine: Engine<ChildServer>;
  output: OutputLog;
  onLine: OnLine;
  /** Told what a start waits for that takes its time; see `StartOptions`. */
  onWaiting?: (why: string | null) => void;
  onSpawn: (running: Running) => void;
  /** Aborts the start; its reason is the failure then. */
  signal: AbortSignal;
}

export interface Launched {
  isReady: true;
  running: Running;
  target: Target;
  /** Addresses beyond loopback it listens on. */
  exposed: string[];
  /** Aborts when what it wrote made something of ours throw, which is its reason: the child has to end. */
  broken: AbortSignal;
}

/** What is ready to serve. Of one that runs elsewhere it is not known when it breaks. */
export type Launching = Pick<Launched, "running" | "target"> & Partial<Launched>;

export interface NotLaunched {
  isReady: false;
  failure: SupervisorError;
  /** Undefined where it was not even started. */
  running: Running | undefined;
  /** Resolves when nothing of the child is left. */
  gone: Promise<unknown>;
}

/** What else is known of a try that failed. */
export interface FailedTry extends NotLaunched {
  isPortStolen: boolean;
  /** It ended by itself, or closed its input. */
  hasEnded: boolean;
}

/** One try to start a child. */
export interface Attempt {
  readonly input: LaunchInput;
  readonly running: Running;
  readonly deadline: AbortSignal;
  /** Aborts when the child has ended. */
  readonly exit: AbortSignal;
  /** As that of `Launched`. */
  readonly broken: AbortSignal;
  readonly offers: Offers;
  /** Epoch ms. */
  readonly startedAt: number;
}
