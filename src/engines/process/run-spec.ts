import type { Confinement } from "./confinement.ts";
import type { Limits } from "./limits.ts";

/** A process to start, and how to end it. */
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
