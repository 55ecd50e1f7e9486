import assert from "node:assert/strict";
import { test } from "node:test";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { startDaemon } from "../helpers/daemon.ts";
import { EVERYTHING, startEverything } from "../helpers/everything.ts";
import { runFlows } from "../helpers/flows.ts";

const everything = (type: string, mode: string) => ({
  type,
  command: process.execPath,
  args: [EVERYTHING, mode],
  env: { PORT: "${port}" },
});

const CONFIG = {
  defaultServer: "over-sse",
  servers: {
    "over-sse": everything("sse", "sse"),
    "over-http": everything("http", "streamableHttp"),
  },
};

function openTransport(
  url: URL,
  secret?: string,
): SSEClientTransport | StreamableHTTPClientTransport {
  const requestInit = secret ? { headers: { authorization: `Bearer ${secret}` } } : {};
  return url.pathname.endsWith("/sse")
    ? new SSEClientTransport(url, { requestInit })
    : new StreamableHTTPClientTransport(url, { requestInit });
}

for (const [transport, path] of [
  ["sse", "/u/flo/over-sse/sse"],
  ["http", "/u/flo/over-http/mcp"],
] as const) {
  test(`the nine flows over ${transport} are those of the child itself, whether the key is in the header or the query`, async (t) => {
    const direct = await startEverything(transport);
    t.after(direct.close);
    const daemon = await startDaemon(t, { config: CONFIG });
    const { secret } = (await daemon.addUser("flo")).key;
    const url = new URL(daemon.origin + path);
    const withKey = new URL(`${url.href}?token=${secret}`);
    const [expected, byHeader, byQuery] = await Promise.all([
      runFlows(() => openTransport(direct.url)),
      runFlows(() => openTransport(url, secret)),
      runFlows(() => openTransport(withKey)),
    ]);
    assert.deepEqual(byHeader, expected);
    assert.deepEqual(byQuery, expected);
  });
}
