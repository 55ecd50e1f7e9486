import { CLIENT_FILES, fileText } from "./client-entries.ts";
import type { ClientFile, Target } from "./client-entries.ts";
import type { UrlRow } from "./urls.ts";

export interface Snippet {
  /** What `--client` takes. */
  id: ClientId;
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

interface Client {
  id: string;
  name: string;
  where: string;
  /** How the key reaches it, whether it can log in by itself (OAuth), and whether it speaks HTTP with SSE, as the docs say it. */
  can: { headers: string; oauth: string; sse: "yes" | "no" | "by mcp-remote" };
  /** Of a client that is told otherwise than by its file. */
  text?: (target: Target) => string;
}

export const CLIENTS = [
  {
    id: "claude-code",
    name: "Claude Code",
    where: "shell",
    can: { headers: "yes, from the environment", oauth: "yes", sse: "yes" },
    text: ({ name, url, front }) =>
      `claude mcp add --transport ${front} ${name} '${url}' --header "Authorization: Bearer $MCPS_KEY"`,
  },
  {
    id: "claude-desktop",
    name: "Claude Desktop",
    where: "claude_desktop_config.json (Settings, Developer, Edit Config)",
    can: { headers: "by mcp-remote", oauth: "by mcp-remote", sse: "by mcp-remote" },
  },
  {
    id: "codex",
    name: "Codex",
    where: "~/.codex/config.toml",
    can: { headers: "yes, from the environment", oauth: "yes", sse: "no" },
  },
  {
    id: "cursor",
    name: "Cursor",
    where: "~/.cursor/mcp.json",
    can: { headers: "yes, from the environment", oauth: "yes", sse: "yes" },
  },
  {
    id: "vscode",
    name: "VS Code",
    where: ".vscode/mcp.json",
    can: { headers: "yes, it asks for the key", oauth: "yes", sse: "yes" },
  },
  {
    id: "zed",
    name: "Zed",
    where: "~/.config/zed/settings.json",
    can: { headers: "yes, the key lies in its file", oauth: "yes", sse: "no" },
  },
  {
    id: "langflow",
    name: "Langflow",
    where: "Settings, MCP Servers, Add MCP Server, HTTP/SSE",
    can: { headers: "yes", oauth: "by mcp-proxy", sse: "yes" },
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
    id: "librechat",
    name: "LibreChat",
    where: "librechat.yaml",
    can: { headers: "yes, from the environment", oauth: "yes", sse: "yes" },
  },
  {
    id: "open-webui",
    name: "Open WebUI",
    where: "Admin Settings, External Tools, Add Server",
    can: { headers: "yes", oauth: "yes", sse: "no" },
    text: ({ name, url }) =>
      [
        "Type: MCP (Streamable HTTP)",
        `URL:  ${url}`,
        "Auth: Bearer, YOUR_ACCESS_KEY",
        `ID:   ${name}`,
        `Name: ${name}`,
      ].join("\n"),
  },
  {
    id: "n8n",
    name: "n8n",
    where: "MCP Client Tool node",
    can: { headers: "yes, from a credential", oauth: "yes", sse: "yes" },
    text: ({ url, front }) =>
      [
        `Endpoint:         ${url}`,
        `Server Transport: ${front === "sse" ? "Server Sent Events (Deprecated)" : "HTTP Streamable"}`,
        "Authentication:   Bearer Auth, with a credential that holds the access key",
      ].join("\n"),
  },
  {
    id: "inspector",
    name: "Inspector",
    where: "~/.mcp-inspector/mcp.json",
    can: { headers: "yes, the key lies in its file", oauth: "yes", sse: "yes" },
  },
  {
    id: "fastmcp",
    name: "FastMCP",
    where: "Python",
    can: { headers: "yes", oauth: "yes", sse: "yes" },
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
    id: "curl",
    name: "curl",
    where: "shell",
    can: { headers: "yes, on stdin", oauth: "no", sse: "yes" },
    text: curl,
  },
] as const satisfies readonly Client[];

export type ClientId = (typeof CLIENTS)[number]["id"];

export const clientOf = (id: ClientId): (typeof CLIENTS)[number] =>
  CLIENTS.find((client) => client.id === id)!;

/** A user's server as the clients are told it, by what it speaks (`transport` in the config). */
export const wantedOf = (row: UrlRow, transport: string | undefined): Wanted => ({
  row,
  front: transport === "sse" ? "sse" : "http",
});

/** The file of that client; undefined where it has none for its servers. */
export const clientFileOf = (id: ClientId): ClientFile | undefined =>
  (CLIENT_FILES as Partial<Record<ClientId, ClientFile>>)[id];

/** One server of a user as that client is to see it. */
export function targetFor(id: ClientId, { row, front: own }: Wanted): Target {
  const front = clientOf(id).can.sse === "no" ? "http" : own;
  return { name: row.server, url: row[front], front };
}

function textFor(client: Client & { id: ClientId }, targets: readonly Target[]): string {
  if (client.text !== undefined) return targets.map(client.text).join("\n\n");
  const { format, puts } = clientFileOf(client.id)!;
  return fileText(
    format,
    targets.flatMap((target) => puts(target)),
  );
}

/** One snippet for each client, for one server of a user; none holds the access key. */
export function snippetsFor(wanted: Wanted): Snippet[] {
  return CLIENTS.map((client) => {
    const target = targetFor(client.id, wanted);
    const { id, name, where } = client;
    const text = textFor(client, [target]);
    return { id, client: name, server: target.name, front: target.front, where, text };
  });
}

/** The one text that a client is told several servers by. */
export const snippetOf = (id: ClientId, wanted: readonly Wanted[]): string =>
  textFor(
    clientOf(id),
    wanted.map((one) => targetFor(id, one)),
  );
