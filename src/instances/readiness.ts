import { setTimeout as delay } from "node:timers/promises";
import { probe } from "./probe.ts";
import type { Running } from "../engines/engine.ts";

/** How often is looked, as a share of how long it has taken so far: a child is found soon after it is ready, however long it takes. */
interface Pace {
  readonly leastMs: number;
  readonly share: number;
}

/** Whether it listens. */
const LOOKS: Pace = { leastMs: 2, share: 0.05 };
/** Whether it serves, once it listens: it is asked. */
const ASKS: Pace = { leastMs: 10, share: 0.1 };
const MOST_MS = 100;
/** What leaves it open whether a server is up tells that it is when it has been the answer for so long without a break. */
const SURE_AFTER_MS = 1000;

export interface ReadinessInput {
  running: Pick<Running, "listeners">;
  port: number;
  /** The unix socket that leads to the port; null where it is one of this machine. */
  socketPath: string | null;
  transport: "sse" | "http";
  path: string;
  /** Ends the wait: the child's exit, the deadline, or a stop. */
  signal: AbortSignal;
  /** What was still missing when it was last looked at, for the message of a failure. */
  onMissing: (missing: string) => void;
}

export interface Ready {
  url: URL;
  /** Addresses the child listens on that other machines may reach. */
  exposed: string[];
}

/**
 * Resolves once the child answers on a socket of its own; until then no byte is sent to the port,
 * because whoever else listens there would get a user's messages. Rejects with the signal's reason.
 */
export async function untilReady(input: ReadinessInput): Promise<Ready> {
  const { running, port, socketPath, transport, path, signal, onMissing } = input;
  /** By URL, since when (`performance.now()`) its answers leave it open. */
  const unsure = new Map<string, number>();
  const begun = performance.now();
  for (;;) {
    const { ours, foreign } = await running.listeners();
    signal.throwIfAborted();
    const hosts = reachableHosts(ours, foreign);
    if (hosts.length === 0) {
      unsure.clear();
      const isTaken = foreign.length > 0;
      onMissing(`${isTaken ? "another process" : "nothing"} listens on port ${port}`);
    }
    for (const host of hosts) {
      const url = new URL(path, `http://${host.includes(":") ? `[${host}]` : host}:${port}`);
      const answer = await probe(transport, url, signal, socketPath);
      signal.throwIfAborted();
      const now = performance.now();
      if (answer.kind !== "unsure") unsure.delete(url.href);
      else if (!unsure.has(url.href)) unsure.set(url.href, now);
      const isSure = now - (unsure.get(url.href) ?? now) >= SURE_AFTER_MS;
      if (answer.kind === "ready" || isSure)
        return { url, exposed: ours.filter((at) => !isLoopback(at)) };
      onMissing(answer.missing);
    }
    const { leastMs, share } = hosts.length === 0 ? LOOKS : ASKS;
    const pauseMs = Math.min(Math.max(leastMs, (performance.now() - begun) * share), MOST_MS);
    await delay(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Where a connection is sure to reach the child: an address that no foreign listener also covers. */
function reachableHosts(ours: readonly string[], foreign: readonly string[]): string[] {
  const taken = new Set(foreign.flatMap(hostsCovered));
  const hosts = new Set(ours.flatMap(hostsCovered).filter((host) => !taken.has(host)));
  // IPv4 loopback first: it is what clients and allow-lists of hosts know best.
  return [...hosts].toSorted((a, b) => Number(b === "127.0.0.1") - Number(a === "127.0.0.1"));
}

function hostsCovered(address: string): string[] {
  if (address === "0.0.0.0") return ["127.0.0.1"];
  // It may serve IPv6 only, which the kernel does not tell: then the first one is refused.
  if (address === "::") return ["127.0.0.1", "::1"];
  return [address];
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
