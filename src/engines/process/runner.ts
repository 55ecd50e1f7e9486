/** Room: engines. Starts one process tree inside the isolation level in force and proves it gone. In: argv, folder, environment. Out: a Running with its lines, its listeners and its end. Never knows users, tokens or policy. */
import type { Readable, Writable } from "node:stream";
import type { OutputShare } from "../../platform/output-share.ts";
import type { Confinement } from "./confinement.ts";
import type { CpuLoad } from "./cpu-meter.ts";
import type { LimitHit, Limits } from "./limits.ts";
import type { Listeners } from "./listeners.ts";
import type { PipeName } from "./message-pipes.ts";

export interface RunSpec {
  /** The program and its arguments, handed to the system as they are: no shell reads them. */
  argv: readonly [string, ...string[]];
  /** Absolute. */
  cwd: string;
  /** All of the child's environment; nothing of the daemon's own is added. */
  env: Readonly<Record<string, string>>;
  confinement: Confinement;
  limits?: Limits;
  /** What the child writes to stdout: lines of a log, or messages that are somebody else's to read. */
  stdout: "lines" | "messages";
  /** How long a child may take to end by itself after its stdin was closed. */
  eofGraceMs: number;
  /** From SIGTERM to SIGKILL. */
  stopTimeoutMs: number;
}

export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Epoch ms. */
  at: number;
  /** The limit that was its end: the kernel or the watch killed it, or it gave up for want of memory. */
  limit: LimitHit | null;
}

export type StreamName = "stdout" | "stderr";
export type OnLine = (stream: StreamName, line: string) => void;

/** One process tree. Its leader is the child that was asked for; the group is everything it started. */
export interface Running {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** What it may write to both of its streams; whoever reads stdout counts into it. */
  readonly output: OutputShare;
  /** The unix socket that leads to the child's port; null where that is a port of this machine. */
  readonly socketPath: string | null;
  /** The leader's end. Its group may outlive it. */
  readonly exited: Promise<Exit>;
  /** Resolves when it reached a limit that it lives on with, as that of processes; never, if it does not. */
  readonly strained: Promise<LimitHit>;
  /** Its end is known, or that of a pipe which its messages go through: nothing that it is told now is answered. */
  readonly isSpent: boolean;
  /** Resolves with the pipe of its messages that it has closed though it lives on; never, if it does not. */
  readonly disconnected: Promise<PipeName>;
  /** Both output streams were read to their end; a grandchild that keeps them open holds this back. */
  readonly drained: Promise<void>;
  /**
   * Closes stdin, then SIGTERM to the group, then SIGKILL, as the spec's times say.
   * Resolves when no process of the group is left. Safe to call more than once.
   */
  stop(): Promise<Exit>;
  /** SIGKILL to the group at once. Resolves when no process of the group is left. */
  kill(): Promise<Exit>;
  /**
   * Whether it is on its way out, or gone: the system tells of that before it closes the first of its
   * connections, and so before `exited`. `port` is where it listens, null where its pipes are all it has.
   */
  isEnding(port: number | null): Promise<boolean>;
  /** Who listens on this port of the network the child sees, told apart into the child's tree and others. */
  listenersOn(port: number): Promise<Listeners>;
  /** Null unless the whole tree uses all the CPU it may, and has for a while. */
  cpuLoad(): CpuLoad | null;
  /** Tells each time that it begins to, and at once where it already does. */
  onBusy(tell: (load: CpuLoad) => void): void;
  /** Memory of the whole tree, null when nothing of it is left. */
  rssBytes(): Promise<number | null>;
}

/** Rejects with INSTANCE_SPAWN_FAILED when the system refuses to start the program, RESOURCES_EXHAUSTED or DISK_FULL when it has nothing left for it. */
export type StartRunner = (spec: RunSpec, onLine: OnLine) => Promise<Running>;
