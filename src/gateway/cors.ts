import type { HttpResponse, RequestHead } from "../http/exchange.ts";

const METHODS = "GET, POST, DELETE, OPTIONS";
const EXPOSED = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate";

/**
 * Lets pages of exactly the configured origins read answers, and answers every OPTIONS without
 * asking for a key: a preflight carries none. Returns true when the request is answered.
 *
 * No origin is configured by default, and then there is no CORS header at all.
 */
export function answerCors(
  req: RequestHead,
  res: HttpResponse,
  origins: readonly string[],
): boolean {
  const origin = req.headers.origin;
  if (origin !== undefined && origins.includes(origin)) {
    res.setHeader("access-control-allow-origin", origin);
    res.setHeader("access-control-expose-headers", EXPOSED);
    res.setHeader("vary", "Origin");
    if (req.method === "OPTIONS") {
      res.setHeader("access-control-allow-methods", METHODS);
      const asked = req.headers["access-control-request-headers"];
      if (asked !== undefined) res.setHeader("access-control-allow-headers", allowedOf(asked));
    }
  }
  if (req.method !== "OPTIONS") return false;
  res.writeHead(204, { allow: METHODS });
  res.end();
  return true;
}

function allowedOf(asked: string): string {
  const names = asked.toLowerCase().split(/\s*,\s*/);
  return names
    .filter((name) =>
      /^(?:accept|authorization|content-type|last-event-id|mcp-[a-z0-9-]+)$/.test(name),
    )
    .join(", ");
}
