import type { UrlRow } from "./urls.ts";

export interface Snippet {
  client: string;
  server: string;
  front: "sse" | "http";
  /** Where the text goes. */
  where: string;
  text: string;
}

interface Wanted {
  row: UrlRow;
  /** What the server speaks by itself: a client that speaks the same needs no bridge. */
  front: "sse" | "http";
}

interface Target {
  name: string;
  url: string;
  front: "sse" | "http";
}

const json = (value: object): string => JSON.stringify(value, null, 2);

const INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "curl", version: "1" },
  },
});

/** The header comes on stdin, because argv of a running program is open to every user of the machine. */
function curl({ url, front }: Target): string {
  const key = '<<< "Authorization: Bearer $MCPS_KEY"';
  return front === "sse"
    ? `curl -sSN '${url}' -H @- ${key}`
    : [
        `curl -sS '${url}' -H @- ${key} \\`,
        "  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\",
        `  -d '${INITIALIZE}'`,
      ].join("\n");
}

interface Recipe {
  client: string;
  where: string;
  text: (target: Target) => string;
}

const RECIPES: readonly Recipe[] = [
  {
    client: "Claude Code",
    where: "shell",
    text: ({ name, url, front }) =>
      `claude mcp add --transport ${front} ${name} '${url}' --header "Authorization: Bearer $MCPS_KEY"`,
  },
  {
    client: "Cursor",
    where: "~/.cursor/mcp.json",
    text: ({ name, url }) =>
      json({
        mcpServers: { [name]: { url, headers: { Authorization: `Bearer \${env:MCPS_KEY}` } } },
      }),
  },
  {
    client: "VS Code",
    where: ".vscode/mcp.json",
    text: ({ name, url, front }) =>
      json({
        inputs: [
          { type: "promptString", id: `${name}-key`, description: "Access key", password: true },
        ],
        servers: {
          [name]: {
            type: front,
            url,
            headers: { Authorization: `Bearer \${input:${name}-key}` },
          },
        },
      }),
  },
  {
    client: "Langflow",
    where: "Settings, MCP Servers, Add MCP Server, HTTP/SSE",
    // Its guard against private addresses is on by default and reads like a dead server.
    text: ({ name, url }) =>
      [
        `Name:    ${name}`,
        `URL:     ${url}`,
        "Headers: Authorization = Bearer YOUR_ACCESS_KEY",
        `If this address is a private one, start Langflow with LANGFLOW_SSRF_ALLOWED_HOSTS=${new URL(url).hostname}`,
      ].join("\n"),
  },
  {
    client: "FastMCP",
    where: "Python",
    // The client tells the transport by the path.
    text: ({ url }) =>
      [
        "import asyncio, os",
        "from fastmcp import Client",
        "",
        "async def main():",
        `    async with Client("${url}", auth=os.environ["MCPS_KEY"]) as client:`,
        "        print(await client.list_tools())",
        "",
        "asyncio.run(main())",
      ].join("\n"),
  },
  {
    client: "n8n",
    where: "MCP Client Tool node",
    text: ({ url, front }) =>
      [
        `Endpoint:         ${url}`,
        `Server Transport: ${front === "sse" ? "Server Sent Events (Deprecated)" : "HTTP Streamable"}`,
        "Authentication:   Bearer Auth, with a credential that holds the access key",
      ].join("\n"),
  },
  { client: "curl", where: "shell", text: curl },
];

/** One snippet for each client, for one server of a user; none holds the access key. */
export function snippetsFor({ row, front }: Wanted): Snippet[] {
  const target: Target = { name: row.server, url: row[front], front };
  return RECIPES.map(({ client, where, text }) => ({
    client,
    server: row.server,
    front,
    where,
    text: text(target),
  }));
}
