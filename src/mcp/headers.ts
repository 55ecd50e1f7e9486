/** Passed from client to child as they are. Everything else stays here: identity (Authorization, Cookie, X-User-*), origin, hop-by-hop. */
const TO_CHILD = new Set([
  "accept",
  "accept-language",
  "baggage",
  "content-type",
  "last-event-id",
  "traceparent",
  "tracestate",
  "user-agent",
]);

/** Passed from child to client. Not Location, Set-Cookie, WWW-Authenticate or CORS: those speak for an origin that is ours. */
const TO_CLIENT = new Set([
  "allow",
  "cache-control",
  "content-type",
  "retry-after",
  "x-accel-buffering",
]);

/** The gateway's own session ids take the place of the child's. */
export const SESSION_HEADER = "mcp-session-id";

const isMcp = (name: string): boolean => name.startsWith("mcp-") && name !== SESSION_HEADER;

/**
 * The client's headers that a child may see, as a flat list of names and values. MCP 2026-07-28
 * wants Mcp-Param-* forwarded though unknown; what `Connection` names ends here (RFC 9110, 7.6.1).
 */
export function headersToChild(
  rawHeaders: readonly string[],
  connection: string | undefined,
): string[] {
  // Not split by a pattern: one with white space in it takes the square of the blanks in a long value.
  const dropped = connection
    ?.toLowerCase()
    .split(",")
    .map((name) => name.trim());
  const passed: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if ((TO_CHILD.has(name) || isMcp(name)) && !dropped?.includes(name))
      passed.push(name, rawHeaders[i + 1]!);
  }
  return passed;
}

/** Those for the child, and behind them the ones that its server's definition has for every request. */
export function withOwnHeaders(
  headers: readonly string[],
  own: Readonly<Record<string, string>>,
): readonly string[] {
  const pairs = Object.entries(own);
  return pairs.length === 0 ? headers : [...headers, ...pairs.flat()];
}

/**
 * The types that a browser renders as text at most. Without a comma: behind one a browser finds
 * another type, and takes that.
 */
const TYPE_OF_MESSAGES = /^(?:application\/json|text\/event-stream|text\/plain)[ \t]*(?:;[^,]*)?$/i;

let lastHeaders: object | undefined;
let lastPassed: Readonly<Record<string, string>> = {};

/**
 * The child's headers that a client may see. A page, or what a browser might take for one, is text
 * here: its scripts would run at an origin that is all users'. Most answers are of the same head as the one before, and that is one object.
 */
export function headersToClient(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Readonly<Record<string, string>> {
  if (headers === lastHeaders) return lastPassed;
  const passed: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && (TO_CLIENT.has(name) || isMcp(name))) {
      passed[name] = typeof value === "string" ? value : value.join(", ");
    }
  }
  if (!TYPE_OF_MESSAGES.test(passed["content-type"] ?? "")) passed["content-type"] = "text/plain";
  lastHeaders = headers;
  lastPassed = passed;
  return passed;
}

export function isEventStream(contentType: string | string[] | undefined): boolean {
  return typeof contentType === "string" && /^text\/event-stream\s*(?:;|$)/i.test(contentType);
}
