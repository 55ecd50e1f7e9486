import { checkServerIdentity, connect } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import { onAbort } from "../../platform/abort.ts";
import { SupervisorError } from "../../errors.ts";
import { uidName } from "./authority.ts";
import { FrameReader, jsonFrame } from "./shim-frames.ts";

const PROTOCOL = 1;
/** From the first byte to the shim's greeting. */
const PATIENCE_MS = 10_000;

export interface ShimAddress {
  readonly address: string;
  readonly port: number;
  readonly pod: { readonly name: string; readonly uid: string };
  readonly epoch: number;
  readonly context: SecureContext;
}

/** What a shim says of itself first. */
export interface Greeting {
  readonly event: "hello";
  readonly state?: "empty" | "running" | "ended";
  /** From where on the child's output comes, and what it writes for the log. */
  readonly acked?: number;
  readonly stderr?: number;
  /** What it has received for the child's input. */
  readonly received?: number;
  readonly note?: string;
  /** The shim's own time, which it wants back. */
  readonly clock?: number;
  readonly exit?: WireExit;
}

export interface WireExit {
  readonly code: number | null;
  readonly signal?: string;
  readonly oom: boolean;
}

export interface Opened {
  readonly socket: TLSSocket;
  readonly greeting: Greeting;
}

export interface Purpose {
  readonly for: "control" | "dial";
  readonly port?: number;
}

/** Given the frames that follow the greeting. */
export type Take = (kind: string, payload: Buffer) => void;

/**
 * A connection to a pod's shim, which has shown that it is that pod's and has let us in. Rejects where
 * nobody answers, and with INSTANCE_SPAWN_FAILED where the shim refuses us. `take` is given the frames
 * after the greeting; without it the socket is the caller's from there on.
 */
export async function openConnection(
  to: ShimAddress,
  purpose: Purpose,
  signal: AbortSignal,
  take?: Take,
): Promise<Opened> {
  const { address, port, pod, context, epoch } = to;
  const socket = connect({
    host: address,
    port,
    servername: pod.name,
    secureContext: context,
    checkServerIdentity: (name, certificate) =>
      checkServerIdentity(name, certificate) ?? checkServerIdentity(uidName(pod.uid), certificate),
  });
  socket.setNoDelay(true);
  return await new Promise<Opened>((resolve, reject) => {
    const late = setTimeout(() => fail(new Error("no answer in time")), PATIENCE_MS);
    const forget = onAbort(signal, () => fail(signal.reason as Error));
    const settle = (): void => {
      clearTimeout(late);
      forget();
    };
    const fail = (error: Error): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    let isGreeted = false;
    const greet = (kind: string, payload: Buffer): void => {
      const greeting = kind === "J" ? (JSON.parse(payload.toString()) as Said) : undefined;
      if (greeting?.event !== "hello") return fail(refusalIn(pod.name, greeting));
      isGreeted = true;
      settle();
      socket.off("error", fail);
      if (take === undefined) socket.off("data", read);
      resolve({ socket, greeting });
    };
    const reader = new FrameReader((kind, payload) =>
      isGreeted ? take?.(kind, payload) : greet(kind, payload),
    );
    const read = (chunk: Buffer): void => {
      try {
        reader.push(chunk);
      } catch (error) {
        socket.destroy(error as Error);
      }
    };
    socket.on("data", read);
    socket.on("error", fail);
    socket.on("close", () => fail(new Error("the connection was closed")));
    socket.write(jsonFrame({ op: "hello", protocol: PROTOCOL, epoch, ...purpose }));
  });
}

type Said =
  | Greeting
  | { readonly event: "refused"; readonly code?: string; readonly message?: string };

function refusalIn(name: string, said: Said | undefined): Error {
  if (said?.event !== "refused") return new Error("no shim answers there");
  const { code = "unknown reason", message = "" } = said;
  // Whoever asks may ask again.
  if (code === "DIAL_FAILED") return new Error(message);
  const what = `the shim of pod ${name} refuses this daemon (${code}): ${message}`;
  return new SupervisorError("INSTANCE_SPAWN_FAILED", what);
}
