import type { Duplex, Readable, Writable } from "node:stream";
import type { Exit, OnLine } from "../engine.ts";

/** The child of a pod, as its shim is to start it. */
export interface StartOrder {
  readonly argv: readonly string[];
  /** All that the image's own environment gets on top. */
  readonly env: Readonly<Record<string, string>>;
  /** Null for the image's own. */
  readonly cwd: string | null;
  /** Whether it is spoken to over pipes, or listens. */
  readonly stdio: "pipes" | "none";
  /** After so long a silence the shim ends it by itself. */
  readonly orphanMs: number;
  readonly graceMs: number;
}

export interface Measures {
  readonly rssBytes: number;
  readonly cpuSeconds: number;
  readonly processes: number;
}

/** The gateway's end of one pod's shim: its child, and word of it. A broken connection is made anew by itself. */
export interface ShimLink {
  readonly state: "empty" | "running" | "ended";
  /** Rejects with INSTANCE_SPAWN_FAILED where the child cannot be started. */
  start(order: StartOrder): Promise<void>;
  /** Goes on with the child of an earlier daemon. */
  attach(isPiped: boolean): void;
  /** Of a child with pipes: whole messages go in, and what is read is acknowledged by whole messages. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** A connection to the port of a child that listens. */
  dial(): Duplex;
  /** Kept by the shim for the next daemon. */
  note(data: Uint8Array): void;
  /** What the last daemon left there. */
  readonly noted: Uint8Array | null;
  /** The child's end, when the shim says that all of it is gone. */
  readonly exited: Promise<Exit>;
  /** It has not been heard for too long, with what is known of why: nothing is sent to it any more. */
  readonly lost: Promise<string>;
  /** The kubelet ends the pod. */
  readonly terminating: Promise<void>;
  /** When the last byte went out, as `performance.now()`. */
  lastSentAt(): number;
  measures(): Measures | null;
  stop(graceMs: number): Promise<Exit>;
  kill(): Promise<Exit>;
  /** Ends the connection, and leaves the child running. */
  close(): void;
}

/** Whom to call, and as whom. */
export interface ShimTarget {
  readonly address: string;
  readonly port: number;
  /** The names in the pod's certificate. */
  readonly pod: { readonly name: string; readonly uid: string };
  /** The number of the CA that the pod was born under. */
  readonly authority: number;
  readonly epoch: number;
  /** That of the child's memory, in bytes. */
  readonly memoryLimit: number | undefined;
  readonly onLine: OnLine;
  readonly signal: AbortSignal;
}

/** Rejects where nobody answers there (try again), and with a SupervisorError where the shim refuses this daemon. */
export type ConnectShim = (target: ShimTarget) => Promise<ShimLink>;

/** Makes the files of a pod's key Secret, by their names. */
export type IssueKeys = (
  authority: number,
  pod: ShimTarget["pod"],
) => Promise<Readonly<Record<string, string>>>;
