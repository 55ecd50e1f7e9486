import type { IncomingHttpHeaders } from "node:http";
import { namesIn } from "../mcp/headers.ts";

/** Of one connection and no other (RFC 9110, 7.6.1). */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
];

/** Who somebody is, where they come from, and what speaks of our listener and not of the server's. */
const NOT_TO_SERVER = new Set([
  ...HOP_BY_HOP,
  "authorization",
  "cookie",
  "cookie2",
  "expect",
  "forwarded",
  "host",
  "mcp-session-id",
  "origin",
  "referer",
  "remote-user",
]);
const NOT_TO_SERVER_LIKE = /^(?:proxy-|x-forwarded-|x-real-ip$|x-user\b|x-remote-)/;

/** What an origin says about itself, which is ours and all users', or what a proxy in front would obey. */
const NOT_TO_CLIENT = new Set([
  ...HOP_BY_HOP,
  "alt-svc",
  "clear-site-data",
  "content-location",
  "content-security-policy",
  "content-security-policy-report-only",
  "expect-ct",
  "location",
  "nel",
  "origin-agent-cluster",
  "public-key-pins",
  "refresh",
  "report-to",
  "reporting-endpoints",
  "service-worker-allowed",
  "set-cookie",
  "set-cookie2",
  "strict-transport-security",
  "www-authenticate",
  "x-content-type-options",
  "x-lighttpd-send-file",
  "x-sendfile",
]);
const NOT_TO_CLIENT_LIKE = /^(?:access-control-|proxy-|x-accel-)/;

/** What a browser is to make of what a server sends: no script, no form, no origin of ours, and nothing but its type. */
export const SANDBOXED = {
  "content-type": "text/plain",
  "content-security-policy": "sandbox",
  "x-content-type-options": "nosniff",
} as const;

/**
 * The client's headers that a server's own route may see, as an object for Node: neither the key nor a
 * cookie, nor who or where the client is. How the body is framed stays as it was.
 */
export function headersToServer(
  rawHeaders: readonly string[],
  connection: string | undefined,
): Record<string, string> {
  const dropped = namesIn(connection ?? "");
  const passed = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    // Programs that have headers as variables of an environment cannot tell the two apart.
    const meant = name.replaceAll("_", "-");
    if (NOT_TO_SERVER.has(meant) || NOT_TO_SERVER_LIKE.test(meant) || dropped.includes(name))
      continue;
    const known = passed.get(name);
    passed.set(name, known === undefined ? rawHeaders[i + 1]! : `${known}, ${rawHeaders[i + 1]!}`);
  }
  return Object.fromEntries(passed);
}

/** The server's headers that its own route may answer with; `location` where that leads on below the route. */
export function headersToClient(
  headers: IncomingHttpHeaders,
  location: string | undefined,
): Record<string, string | string[]> {
  const dropped = namesIn(headers.connection ?? "");
  const passed: Record<string, string | string[]> = { "cache-control": "no-store" };
  for (const [name, value] of Object.entries(headers))
    if (
      value !== undefined &&
      !NOT_TO_CLIENT.has(name) &&
      !NOT_TO_CLIENT_LIKE.test(name) &&
      !dropped.includes(name)
    )
      passed[name] = value;
  if (location !== undefined) passed["location"] = location;
  return { ...SANDBOXED, ...passed };
}

/** Of an answer that changes to WebSocket nothing passes but what makes it one. */
export function headersOfUpgrade(headers: IncomingHttpHeaders): Record<string, string> {
  const passed: Record<string, string> = { connection: "Upgrade", upgrade: "websocket" };
  for (const name of ["sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"])
    if (typeof headers[name] === "string") passed[name] = headers[name];
  return passed;
}
