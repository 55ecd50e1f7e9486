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

/** One for the config, and for the flows at the server itself, without a gateway. */
async function started(t: TestContext, transport: "sse" | "http"): Promise<URL> {
  const { url, close } = await startEverything(transport);
  t.after(close);
  return url;
}

const direct: Record<"stdio" | "sse" | "http", (url: URL) => Flows> = {
  stdio: () =>
    runFlows(
      () =>
        new StdioClientTransport({
          command: process.execPath,
          args: [EVERYTHING, "stdio"],
          stderr: "ignore",
        }),
    ),
  sse: (url) => runFlows(() => new SSEClientTransport(url)),
  http: (url) => runFlows(() => new StreamableHTTPClientTransport(url)),
};

test(
  "the nine flows through each front over each kind of server are those of the server's own transport",
  { concurrency: 3 },
  async (t) => {
    const [sse, http] = [await started(t, "sse"), await started(t, "http")];
    const servers = {
      "shared-stdio": child("stdio", "stdio"),
      "stdio-per-session": child("stdio", "stdio", { sharing: "session" }),
      "sse-child": child("sse", "sse"),
      "http-child": child("http", "streamableHttp"),
      "sse-remote": { url: sse.href, type: "sse" },
      "http-remote": { url: http.href, type: "http" },
    };
    const daemon = await startDaemon(t, { config: { servers, defaultServer: "sse-child" } });
    const { key } = await daemon.addUser("alice");
    const options = { requestInit: { headers: { authorization: `Bearer ${key.secret}` } } };
    const own = {
      stdio: await direct.stdio(sse),
      sse: await direct.sse(sse),
      http: await direct.http(http),
    };
    const runOver = async (name: string, type: string, front: string): Promise<void> => {
      const url = new URL(`${daemon.origin}/u/alice/${name}/${front}`);
      const actual = await runFlows(() =>
        front === "sse"
          ? new SSEClientTransport(url, options)
          : new StreamableHTTPClientTransport(url, options),
      );
      const expected = structuredClone(own[type as keyof typeof own]);
      // A shared child says once, after its own start, which of its tools depend on the client; a
      // session that comes later finds them in the list.
      if (name === "shared-stdio") forgetToolsChanged(actual, expected);
      assert.deepEqual(actual, expected);
    };
    const over = Object.entries(servers).map(([name, { type }]) =>
      t.test(name, async (each) => {
        for (const front of ["sse", "mcp"])
          await each.test(`/${front}`, () => runOver(name, type, front));
      }),
    );
    await Promise.all(over);
  },
);

function forgetToolsChanged(...results: Record<string, unknown>[]): void {
  for (const result of results)
    delete (result["list_changed"] as { toolsChanged?: number }).toolsChanged;
}
