import { fileURLToPath } from "node:url";
import type { Python } from "./python.ts";

const CLIENT = fileURLToPath(new URL("client.py", import.meta.url));

/** How a client comes: by itself it asks for the modern era first and falls back (`auto`). */
export interface Way {
  client: "fastmcp" | "mcp";
  transport: "sse" | "http";
  mode: "auto" | "legacy";
}

export const WAYS: readonly Way[] = (["sse", "http"] as const).flatMap((transport) =>
  (["fastmcp", "mcp"] as const).flatMap((client) =>
    (["auto", "legacy"] as const).map((mode) => ({ client, transport, mode })),
  ),
);

/** One client at one URL. The key, if any, travels in the Authorization header. */
export interface Visit extends Way {
  name: string;
  /** What stands behind the gateway, where there is one between. */
  server?: string;
  url: string;
  key?: string;
  /** At the end of the URL is server-everything. */
  everything?: boolean;
}

export interface Sight {
  me: {
    fingerprint: string;
    names: string[];
    settings: Record<string, string | null>;
    pid: number;
  };
  echoed: string[];
  progress: [number, number][];
  tools: string[];
  inbox: string;
  message: string;
  version: string;
}

/** What a visit brought: what the client saw, or how it was refused. */
export type Outcome = Sight | { refused: string };

/** More clients than this at once keep each other from starting in time. */
const AT_ONCE = 16;

/** Makes the visits, many at the same time, from one Python process after the other. */
export async function makeVisits(python: Python, visits: Visit[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let at = 0; at < visits.length; at += AT_ONCE) {
    const some = JSON.stringify(visits.slice(at, at + AT_ONCE));
    outcomes.push(...(JSON.parse(await python.run(CLIENT, some)) as Outcome[]));
  }
  return outcomes;
}
