import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { startDaemon } from "../helpers/daemon.ts";
import { EVERYTHING, startEverything } from "../helpers/everything.ts";
import { runFlows } from "../helpers/flows.ts";

const child = (type: string, mode: string, more: object = {}) => ({
  type,
  command: process.execPath,
  args: [EVERYTHING, mode],
  ...(type === "stdio" ? {} : { env: { PORT: "${port}" } }),
  ...more,
});

type Flows = ReturnType<typeof runFlows>;

/** The flows at the server itself, which are the same for every test: each is played once. */
function once(play: () => Flows): () => Flows {
  let flows: Flows | undefined;
  return () => (flows ??= play());
}
const overStdio = once(() =>
  runFlows(
    () =>
      new StdioClientTransport({
        command: process.execPath,
        args: [EVERYTHING, "stdio"],
        stderr: "ignore",
      }),
  ),
);
const overPort = (mode: "sse" | "http") =>
  once(async () => {
    const { url, close } = await startEverything(mode);
    const open = () =>
      mode === "sse" ? new SSEClientTransport(url) : new StreamableHTTPClientTransport(url);
    try {
      return await runFlows(open);
    } finally {
      await close();
    }
  });
const overSse = overPort("sse");
const overHttp = overPort("http");

/** What stands behind the gateway, and the flows of the same child over its own transport. */
const SERVERS: [string, () => Flows, (t: TestContext) => Promise<Record<string, unknown>>][] = [
  ["a shared stdio child", overStdio, async () => child("stdio", "stdio")],
  [
    "a stdio child per session",
    overStdio,
    async () => child("stdio", "stdio", { sharing: "session" }),
  ],
  ["an SSE child", overSse, async () => child("sse", "sse")],
  ["a Streamable HTTP child", overHttp, async () => child("http", "streamableHttp")],
  ["an SSE remote", overSse, async (t) => ({ url: (await started(t, "sse")).href, type: "sse" })],
  [
    "a Streamable HTTP remote",
    overHttp,
    async (t) => ({ url: (await started(t, "http")).href, type: "http" }),
  ],
];

async function started(t: TestContext, mode: "sse" | "http"): Promise<URL> {
  const { url, close } = await startEverything(mode);
  t.after(close);
  return url;
}

for (const front of ["sse", "mcp"] as const) {
  for (const [name, direct, server] of SERVERS) {
    test(`the nine flows through /${front} over ${name} are those of the child's own transport`, async (t) => {
      const one = await server(t);
      const daemon = await startDaemon(t, { config: { servers: { one }, defaultServer: "one" } });
      const { key } = await daemon.addUser("alice");
      const options = { requestInit: { headers: { authorization: `Bearer ${key.secret}` } } };
      const url = new URL(`${daemon.origin}/u/alice/${front}`);
      const through = () =>
        front === "sse"
          ? new SSEClientTransport(url, options)
          : new StreamableHTTPClientTransport(url, options);
      const [actual, own] = await Promise.all([runFlows(through), direct()]);
      const expected = structuredClone(own);
      // A shared child says once, after its own start, which of its tools depend on the client; a
      // session that comes later finds them in the list.
      if (name === "a shared stdio child") forgetToolsChanged(actual, expected);
      assert.deepEqual(actual, expected);
    });
  }
}

function forgetToolsChanged(...results: Record<string, unknown>[]): void {
  for (const result of results)
    delete (result["list_changed"] as { toolsChanged?: number }).toolsChanged;
}
