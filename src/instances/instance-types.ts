import { randomBytes } from "node:crypto";
import type { SupervisorError } from "../errors.ts";
import type { ServerDef } from "../config/config.ts";
import type { Target } from "../links/target.ts";
import type { Work } from "./work.ts";
import type { Exit, Ref, Running, StreamName } from "../engines/engine.ts";

export type { Ref } from "../engines/engine.ts";

/** Of one instance and no other: slugs have no slash, so it is clear where the variant begins. */
export const keyOf = ({ user, server, variant }: Ref): string => `${user}/${server}/${variant}`;

/** Every instance whose ref has these values; `{}` selects all. */
export type Selector = Partial<Ref>;

/** It runs elsewhere, or is part of the daemon: there is no child that could end. */
export const isChildless = ({ endpoint }: Running): boolean =>
  endpoint.kind === "url" || endpoint.kind === "builtin";

/** Where its child is, if anywhere. */
export interface Whereabouts {
  /** The top of its process tree; null where it is none of this machine's. */
  readonly pid: number | null;
  /** See `Running.place`. */
  readonly place: string | null;
  /** That it listens on. */
  readonly port: number | null;
}

export const NOWHERE: Whereabouts = { pid: null, place: null, port: null };

export const whereaboutsOf = (running: Running): Whereabouts => ({
  pid: running.pid,
  place: running.place,
  port: portOf(running),
});

/** Whether there is a child, here or elsewhere; of a remote there is none. */
export const hasChild = ({ pid, place }: Pick<Whereabouts, "pid" | "place">): boolean =>
  pid !== null || place !== null;

/** The port that its child listens on; null where it has none. */
export const portOf = ({ endpoint }: Running): number | null =>
  endpoint.kind === "port" ? endpoint.port : null;

/** What a server speaks: revisions that begin with `initialize`, or those in which every request stands for itself. */
export type Era = "legacy" | "modern";

/** The variant of a stdio child that serves requests of 2026-07-28; a child keeps to the era it was opened in. */
export const MODERN_VARIANT = "modern";

export const eraOfVariant = (variant: string): Era =>
  variant === MODERN_VARIANT ? "modern" : "legacy";

/** What the variant of an instance begins with that serves one session; no set of capabilities does. */
const OWN = "session ";

/** A variant for one more session that has a child of its own. */
export const ownVariant = (): string => OWN + randomBytes(8).toString("hex");

/** What clients of a stdio child declared, as JSON text, by its variant: that of a shared one is made of it. */
export const capabilitiesOfVariant = (variant: string): string =>
  variant.startsWith("{") ? variant : "{}";

export const isOwnVariant = (variant: string): boolean => variant.startsWith(OWN);

/** Why a generation ended, as a predicate of the child: `exited with code 1`, `was killed by SIGKILL`, `was stopped by an admin`. */
export interface Ended {
  reason: string;
  /** Null where there is none: of a remote, or of a child that was given up and is on its way out. */
  exit: Exit | null;
  /** What its callers are told, where that is more than its end: something of ours failed over what it wrote. */
  failure?: SupervisorError;
  /** Nobody had told it to end. */
  byItself?: boolean;
}

/** One ready generation. It is handed out only while it is ready, and never becomes another one. */
export interface Live {
  readonly ref: Ref;
  readonly generation: number;
  readonly target: Target;
  /** Its definition when it was started, and the mark of the token that it has: there may be others by now. */
  readonly startedAs: { readonly def: ServerDef; readonly token: string };
  /** The top of the process tree, null for a remote or a pod. */
  readonly pid: number | null;
  /** What it has to answer still: whoever hands it a call counts that in and out, so that it can end when it is done. */
  readonly work: Work;
  /** Another generation takes the messages, and this one answers what it has. */
  isHandedOver(): boolean;
  /** Resolves when the generation has ended, whoever ended it: the one event by which anybody hears of it. */
  readonly exited: Promise<Ended>;
  /** See `Running.isGone`. */
  isGone(): boolean;
  /**
   * For whoever finds its link to the child broken: how the child ended, if that is why. Resolves with
   * undefined at once where the child lives on, or there is none of ours. Where the engine says that it is on its way out, or it
   * was asked to end, waits for its end: within 100 ms, or a second where it is gone and not yet
   * cleared away.
   */
  ending(): Promise<Ended | undefined>;
}

/**
 * `since` is epoch ms, `reason` why the instance is in this state, null where nothing needs saying.
 * From `retryAt` (`performance.now()`) on a message starts it again.
 */
export type InstanceState =
  | { name: "stopped"; since: number; reason: string | null }
  /** `reason`: what it waits for. */
  | ({ name: "starting"; since: number; reason: string | null } & Whereabouts)
  | ({
      name: "ready";
      since: number;
      /** A limit that it hit and lives on with. */
      reason: string | null;
      live: Live;
      running: Running;
    } & Whereabouts)
  | ({ name: "draining"; since: number; reason: string } & Whereabouts)
  | { name: "backing-off"; since: number; reason: string; retryAt: number }
  | { name: "parked"; since: number; reason: string; retryAt: number };

/** Nothing of it runs, nor is on its way up or out. */
export type DownState = Extract<InstanceState, { name: "stopped" | "backing-off" | "parked" }>;

export type StateName = InstanceState["name"];

/** What a generation is up to; one whose start came to nothing goes without having been ready. */
export type GenerationState = "starting" | "ready" | "draining" | "gone";

/** What is known of an instance without looking at its processes. Times are epoch ms. */
export interface InstanceRow {
  user: string;
  server: string;
  variant: string;
  state: StateName;
  since: number;
  reason: string | null;
  retryAt: number | null;
  /** Null for what is down, for a remote, and for a pod. */
  pid: number | null;
  /** Where a pod is: `node/pod`; null for all else. */
  place: string | null;
  port: number | null;
  generation: number;
  /** Starts that followed an end nobody asked for. */
  restarts: number;
  /** In a row, held against its next start; 0 once it did well or somebody saw to it. */
  failures: number;
  sessions: number;
  inFlight: number;
  idleSeconds: number | null;
  /** Null for a remote. */
  isolation: string | null;
}

/** A row of `status`: with the memory of the whole process tree, null where none is alive. */
export interface InstanceStatus extends InstanceRow {
  rssBytes: number | null;
}

export interface LogLine {
  /** Epoch ms. */
  at: number;
  /** Of the child that wrote it. */
  variant: string;
  generation: number;
  stream: StreamName;
  text: string;
}

export interface SupervisorEvents {
  line: [{ ref: Ref; line: LogLine }];
  /** A start failed, or a child ended unasked. */
  failed: [{ ref: Ref }];
  /** A start begins that follows an end nobody asked for. */
  restarted: [{ ref: Ref }];
  state: [{ ref: Ref; generation: number; state: GenerationState }];
  /** A generation was ended with calls to answer still, after another one had taken over. */
  "cut-short": [{ ref: Ref }];
}
