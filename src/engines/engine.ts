/** Room: engines. Where children run: each engine starts them in its own way, hands out how to speak to them, and tells their end. In: whose child, which server, its token. Out: a Running. Never reads a message, never decides when a child runs. */
import type { Readable, Writable } from "node:stream";
import type { Builtin } from "../builtins/builtin.ts";
import type { ServerDef } from "../config/config.ts";
import type { OutputShare } from "../platform/output-share.ts";

/** Names one instance; `variant` is "" unless a user has several of one server. */
export interface Ref {
  readonly user: string;
  readonly server: string;
  readonly variant: string;
}

/** What is to run. */
export interface Workload<Def extends ServerDef = ServerDef> {
  readonly ref: Ref;
  readonly def: Def;
  /** The user's secret for this server; it goes to the child and nowhere else. */
  readonly token: string | undefined;
  /** Its number among those of its instance, for who gives it a name. */
  readonly generation?: number;
}

export interface StartOptions {
  /** Told each line that the child writes, but for the messages of one that is spoken to over pipes. */
  readonly onLine: OnLine;
  /** Told what a start waits for that takes its time: `no node takes it`; null once it goes on. */
  readonly onWaiting?: (why: string | null) => void;
  /** Gives the start up as long as nothing of it runs; its reason is the failure then. */
  readonly signal: AbortSignal;
}

/**
 * A place where children run. It starts, tells and ends; when and how often is decided by instances.
 * What earlier daemons left is seen to first: `findLeft`, `adopt` where that is offered, `endLeft`. Only
 * then comes the first `start`.
 */
export interface Engine<Def extends ServerDef = ServerDef> {
  /**
   * Resolves when the child runs, which is long before it is ready. Nothing is left of a start that
   * rejects: INSTANCE_SPAWN_FAILED where the child cannot be started, ISOLATION_UNAVAILABLE where not
   * in the way that its server asks for, TOKEN_MISSING, RESOURCES_EXHAUSTED or DISK_FULL where there
   * is nothing left to start it with, or the signal's reason.
   */
  start(workload: Workload<Def>, options: StartOptions): Promise<Running>;
  /** What stands around a child of this server here, as its config names it; null where nothing is to be had, or nothing is started. */
  levelOf(def: Def): string | null;
  /** The weakest of what stands around children by the config's own word. */
  readonly level: string;
  /** How many starts it bears at once. */
  readonly capacity: Capacity;
  /** The user is gone for good: what was set apart for their children may be given to others. */
  forgetUser(user: string): void;
  /** What earlier daemons of the same data left running here, as it is now. Changes nothing. */
  findLeft(): Promise<readonly Left[]>;
  /**
   * Ends what `findLeft` finds and nobody has adopted. Resolves when it is gone, or after 10 s at most.
   * Rejects with DISK_FULL, RESOURCES_EXHAUSTED or INTERNAL where the engine cannot write down what it
   * will start.
   */
  endLeft(): Promise<EndedLeft>;
  /** Ends all that it has started by force, without waiting: for the end that cannot wait. */
  killAll(): void;
  /** Frees what the engine itself holds. All that it started must have ended. */
  close(): Promise<void>;
}

export interface Capacity {
  readonly starts: number;
  /** How many more at the moment, because those under way wait for something else; absent where that cannot be told. */
  readonly spare?: () => number;
}

/** Something that runs on though the daemon that started it is gone. */
export interface Left {
  /** Where it runs, in words for the log: `pid 4711`. */
  readonly place: string;
  /** Takes it over as if it had been started now; undefined where the engine cannot, and it has to be ended. */
  readonly adopt?: (options: StartOptions) => Promise<Running>;
}

export interface EndedLeft {
  /** How many were ended. */
  readonly count: number;
  /** Those that could not be. */
  readonly left: readonly Left[];
}

/**
 * One child and all that it has started, from its start to the end of the last of them. Of what is
 * not a process of this machine, what is measured is null.
 */
export interface Running {
  readonly endpoint: Endpoint;
  /** The top of its process tree on this machine; null elsewhere. */
  readonly pid: number | null;
  /** Where it runs, if not on this machine: `node/pod`; null for what runs here, and for what nobody has started. */
  readonly place: string | null;
  /** Gives it another token in place of the one that it was started with; absent where it takes another start. Throws where that fails. */
  readonly replaceToken?: (token: string | undefined) => void;
  /** What it may write in all; whoever reads its messages counts them in. */
  readonly output: OutputShare;
  /** The child's end, with its reason. What it had started may outlive it. */
  readonly exited: Promise<Exit>;
  /** Its end is known, or it has closed a pipe of its messages: nothing that it is told now is answered. */
  readonly isSpent: boolean;
  /** Resolves with the pipe of its messages that it has closed though it lives on; never, if it does not. */
  readonly disconnected: Promise<PipeName>;
  /** Resolves when it cannot be asked any more though it may live, with that as a predicate of it; absent where that cannot be. */
  readonly lost?: Promise<string>;
  /** Resolves when it will be ended soon by somebody else, with the reason of its replacement; absent where nobody would. */
  readonly leaving?: Promise<string>;
  /** Lets go of it as it is, for the next daemon; absent where it would end with this one. */
  readonly leave?: () => void;
  /** What is kept beside it for the next daemon; absent where it would end with this one. */
  readonly keepsake?: Keepsake;
  /** Resolves when it has reached a limit that it lives on with, as that of processes; never, if it does not. */
  readonly strained: Promise<LimitHit>;
  /** All that it wrote was read; what it has started may hold this back. */
  readonly drained: Promise<void>;
  /**
   * Ends it in good order, and by force what is left when the time for that is over. Resolves when
   * nothing of it is left and what it held is free. Never rejects; may be called again.
   */
  stop(): Promise<Exit>;
  /** Ends it by force at once, in the middle of a `stop` too; else as `stop`. */
  kill(): Promise<Exit>;
  /** Whether it is on its way out or gone, which shows before its connections break, and so before `exited`. */
  isEnding(): Promise<boolean>;
  /** Whether the system says, at this moment, that it is on its way out or gone: it does nothing any more. Looks into the process table, so it is asked seldom. */
  isGone(): boolean;
  /**
   * Who listens where its endpoint leads: it, or somebody else, who must not get its messages. Cheap
   * for who waits for it to listen: as long as it does not, this may be as it was a moment ago.
   */
  listeners(): Promise<Listeners>;
  /** Null unless it uses all the CPU that it may, and has for a while. */
  cpuLoad(): CpuLoad | null;
  /** Tells each time that it begins to, and at once where it already does. */
  onBusy(tell: (load: CpuLoad) => void): void;
  /** Memory of all of it in bytes; null when nothing of it is left. */
  rssBytes(): Promise<number | null>;
}

/** A note that outlives the daemon, and lies with the child. */
export interface Keepsake {
  /** What the last daemon left; null where this one has started the child. */
  readonly found: Uint8Array | null;
  /** In the place of the one before. */
  leave(note: Uint8Array): void;
  /** The number of this daemon among all: what it asks is numbered apart from what earlier ones did. */
  readonly epoch: number;
}

/** How to speak to a child. */
export type Endpoint =
  | { readonly kind: "pipes"; readonly stdin: Writable; readonly stdout: Readable }
  | {
      readonly kind: "port";
      readonly port: number;
      /** The unix socket that leads to the port; null where it is one of this machine's own network. */
      readonly socketPath: string | null;
      /** The next start gets the same port. */
      readonly isPinned: boolean;
    }
  | {
      readonly kind: "url";
      readonly url: URL;
      /** To be sent with the next request: read them for each. They may hold the user's token, as it is at the moment. */
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly kind: "builtin"; readonly server: Builtin };

/** A pipe as its child sees it. */
export type PipeName = "input" | "output";
export type StreamName = "stdout" | "stderr";
export type OnLine = (stream: StreamName, line: string) => void;

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Epoch ms. */
  at: number;
  /** The limit that was its end. */
  limit: LimitHit | null;
}

/** A limit that was reached. */
export type LimitHit = { kind: "memory"; bytes: number } | { kind: "pids"; count: number };

/** A child that uses all the CPU it may or can get, or more where nothing keeps it within its limit. */
export interface CpuLoad {
  /** Epoch ms. */
  since: number;
  /** Cores in use, lately. */
  cores: number;
  /** Its limit in cores; null for a child without one, of which a whole core is too much to be silent about. */
  limit: number | null;
  /** It wants more than it gets: less is left to it than would be all of its limit. */
  isStarved: boolean;
}

/** Addresses as text: `127.0.0.1`, `0.0.0.0`, `::1`, `::`; an IPv4 address in IPv6 clothes is given as IPv4. */
export interface Listeners {
  ours: string[];
  foreign: string[];
}
