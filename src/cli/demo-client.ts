import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const bearer = (key: string): { requestInit: RequestInit } => ({
  requestInit: { headers: { authorization: `Bearer ${key}` } },
});

/** The environment of the child behind a personal URL, as its own `get-env` tool reports it to an ordinary MCP client. */
export async function look(
  front: "sse" | "http",
  url: string,
  key: string,
): Promise<Record<string, string>> {
  const transport =
    front === "sse"
      ? new SSEClientTransport(new URL(url), bearer(key))
      : new StreamableHTTPClientTransport(new URL(url), bearer(key));
  const client = new Client({ name: "mcp-supervisor-demo", version: "1" });
  await client.connect(transport);
  try {
    const { content } = await client.callTool({ name: "get-env" });
    const [first] = content as { text?: string }[];
    return JSON.parse(first?.text ?? "{}") as Record<string, string>;
  } finally {
    await client.close();
  }
}

/** The HTTP status that a stream to this URL is answered with. */
export async function statusWithKey(url: string, key: string): Promise<number> {
  const answered = await fetch(url, { headers: { authorization: `Bearer ${key}` } });
  await answered.body?.cancel();
  return answered.status;
}
