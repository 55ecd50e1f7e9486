import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** The folder that people start their servers from. */
export const MCP_SERVER = fileURLToPath(new URL("mcp_server", import.meta.url));

export const SETTINGS = {
  API_PROXY_URL: "http://localhost:8031",
  AUTH_API_URL: "http://localhost:8030",
  MAILPIT_SMTP_HOST: "localhost",
};

const start = (module: string, transport: string, port: string) => [
  "-m",
  module,
  "run",
  "gmail_mcp/main.py",
  "--transport",
  transport,
  "--port",
  port,
];

/** Their command line, with the port that they used to count by hand. */
export const sseArgs = (port: string): string[] => start("fastmcp", "sse", port);
/** The same server over Streamable HTTP, started in the way that FastMCP documents. */
export const httpArgs = (port: string): string[] => start("fastmcp.cli", "http", port);

/** `servers` of a config that runs it for every user. */
export const SERVERS = {
  gmail: {
    type: "sse",
    command: "python",
    args: sseArgs("${port}"),
    cwd: "./mcp_server",
    env: SETTINGS,
    reach: [8030, 8031, 1025],
  },
  "gmail-http": {
    type: "http",
    command: "python",
    args: httpArgs("${port}"),
    cwd: "./mcp_server",
    env: SETTINGS,
  },
  "gmail-stdio": {
    command: "python",
    args: ["-m", "fastmcp.cli", "run", "gmail_mcp/main.py", "--transport", "stdio"],
    cwd: "./mcp_server",
    env: SETTINGS,
  },
};

/** What `whoami` shows of a token. */
export const fingerprint = (token: string): string =>
  createHash("sha256").update(token).digest("hex").slice(0, 12);
