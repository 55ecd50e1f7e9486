import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { orderControl } from "./control.ts";
import { startDaemon } from "./daemon.ts";
import type { DaemonOptions, TestDaemon } from "./daemon.ts";
import { bearer, initialize, json } from "./fixtures.ts";
import { EventStream, ask } from "./raw-http.ts";
import type { Answer } from "./raw-http.ts";
import { until } from "./until.ts";

/** What `status` says of an instance. */
export interface Row {
  server: string;
  pid: number;
  port: number;
  sessions: number;
  inFlight: number;
}

export interface Alice {
  daemon: TestDaemon;
  auth: string[];
  post: (path: string, body: string, headers?: string[]) => Promise<Answer>;
  stream: (path: string, headers?: string[]) => Promise<EventStream>;
  /** An SSE session that has said hello. */
  sse: (server: string) => Promise<{ stream: EventStream; endpoint: string }>;
  /** The headers of a Streamable HTTP session that has said hello. */
  http: (server: string) => Promise<string[]>;
  row: (server: string) => Promise<Row>;
  /** What `/stats` of the child says. */
  stats: (server: string) => Promise<Record<string, number>>;
}

/** A daemon with these servers and one user, alice, who has a token and a key. */
export async function startForAlice(
  t: TestContext,
  servers: Record<string, unknown>,
  config: Record<string, unknown> = {},
  options: DaemonOptions = {},
): Promise<Alice> {
  const daemon = await startDaemon(t, {
    ...options,
    config: { servers, defaultServer: Object.keys(servers)[0], ...config },
  });
  const { key } = await daemon.addUser("alice", "token-of-alice");
  const auth = bearer(key.secret);
  const post: Alice["post"] = (path, body, headers = []) =>
    ask(daemon.port, { method: "POST", path, body, headers: [...auth, ...json, ...headers] });
  const stream: Alice["stream"] = async (path, headers = []) => {
    const opened = await EventStream.open(daemon.port, { path, headers: [...auth, ...headers] });
    t.after(() => opened.close());
    return opened;
  };
  const row: Alice["row"] = async (server) => {
    const { instances } = await orderControl<{ instances: Row[] }>(
      daemon.socket,
      "GET",
      "/api/status",
    );
    return instances.find((instance) => instance.server === server)!;
  };
  const portOf = new Map<string, number>();
  return {
    daemon,
    auth,
    post,
    stream,
    row,
    sse: async (server) => {
      const opened = await stream(`/u/alice/${server}/sse`);
      const endpoint = await until(() => opened.endpoint, "the endpoint has come");
      assert.equal((await post(endpoint, initialize("hello"))).status, 202);
      await until(() => opened.messages().length > 0, "the server has answered");
      return { stream: opened, endpoint };
    },
    http: async (server) => {
      const { status, headers, body } = await post(`/u/alice/${server}/mcp`, initialize("hello"));
      assert.equal(status, 200, body);
      return ["mcp-session-id", String(headers["mcp-session-id"])];
    },
    stats: async (server) => {
      if (!portOf.has(server)) portOf.set(server, (await row(server)).port);
      const { body } = await ask(portOf.get(server)!, { path: "/stats" });
      return JSON.parse(body) as Record<string, number>;
    },
  };
}
