import { fileURLToPath } from "node:url";
import { META } from "../../src/mcp/modern.ts";
import type { RawRequest } from "./raw-http.ts";

/** The recipe of a fixture child: `test/fixtures/servers/NAME.ts` on the port that the supervisor gives. */
export function fixture(
  type: "sse" | "http",
  name: string,
  ...args: string[]
): Record<string, unknown> {
  const file = fileURLToPath(new URL(`../fixtures/servers/${name}.ts`, import.meta.url));
  return {
    type,
    command: process.execPath,
    args: ["--no-warnings", file, "--port", "${port}", ...args],
  };
}

export const json = [
  "content-type",
  "application/json",
  "accept",
  "application/json, text/event-stream",
];
export const bearer = (secret: string): string[] => ["authorization", `Bearer ${secret}`];

export const rpc = (id: number | string, method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });
export const call = (id: number | string, name: string, args: object = {}): string =>
  rpc(id, "tools/call", { name, arguments: args });
export const initialize = (id: number | string = 0): string =>
  rpc(id, "initialize", {
    protocolVersion: "2025-03-26",
    capabilities: {},
    clientInfo: { name: "test", version: "1" },
  });

/** The POST of a tools/call of 2026-07-28 to alice's default server; with a `logLevel` it hears what the server logs. */
export function modernCall(
  auth: readonly string[],
  id: number | string,
  { logLevel, ...params }: { name: string; arguments: object; logLevel?: string },
): RawRequest {
  const version = "2026-07-28";
  const _meta = {
    [META.protocolVersion]: version,
    [META.clientCapabilities]: {},
    [META.logLevel]: logLevel,
  };
  const mirrored = {
    "mcp-protocol-version": version,
    "mcp-method": "tools/call",
    "mcp-name": params.name,
  };
  return {
    method: "POST",
    path: "/u/alice/mcp",
    headers: [...auth, ...json, ...Object.entries(mirrored).flat()],
    body: rpc(id, "tools/call", { ...params, _meta }),
  };
}
