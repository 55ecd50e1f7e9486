import type { SupervisorError } from "../errors.ts";
import type { HttpResponse, RequestHead } from "../http/exchange.ts";
import { errorHeaders, sendText } from "../http/error-response.ts";

/** What clients of ours read. */
const FOR_CLIENTS = ["application/json", "text/event-stream"];

/** How much this type is wanted, by its own name; 0 where it is not named. */
function wish(accept: string, type: string): number {
  const range = accept
    .toLowerCase()
    .split(",")
    .map((text) => text.trim())
    .find((text) => text.split(";")[0]?.trim() === type);
  if (range === undefined) return 0;
  const q = Number(/;\s*q=([\d.]+)/.exec(range)?.[1] ?? 1);
  return Number.isNaN(q) ? 0 : q;
}

/** Somebody has opened a personal URL in a browser: no client of MCP asks for a page first, and without a key. */
export function isForPerson({ method, headers }: RequestHead, { code }: SupervisorError): boolean {
  const { accept = "" } = headers;
  if (code !== "KEY_MISSING" || (method !== "GET" && method !== "HEAD")) return false;
  return wish(accept, "text/html") > Math.max(...FOR_CLIENTS.map((type) => wish(accept, type)));
}

/** Says the same as to a client, and what to do, in words that a browser shows; `page` is the users' own, where there is one. */
export function refusePerson(
  res: HttpResponse,
  error: SupervisorError,
  { requestId, page }: { requestId: string; page: string | null },
): void {
  const orPage =
    page === null ? "" : `\nYour own page, where you sign in with the key and find how: ${page}\n`;
  const text = `${error.message}

This is the address of an MCP server for one person, and no page. Put it into an MCP client together
with your access key; whoever gave you the address has given you a key too, or can issue one.
${orPage}
Request ${requestId}
`;
  const headers = { ...errorHeaders(error), "content-type": "text/plain; charset=utf-8" };
  sendText(res, error.status, headers, text);
}
