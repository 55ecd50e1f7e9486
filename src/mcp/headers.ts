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
export const VERSION_HEADER = "mcp-protocol-version";

const isMcp = (name: string): boolean => name.startsWith("mcp-") && name !== SESSION_HEADER;

/** The headers that `Connection` names, which end here. */
export const namesIn = (connection: string): readonly string[] =>
  // Not split by a pattern: one with white space in it takes the square of the blanks in a long value.
  connection
    .toLowerCase()
    .split(",")
    .map((name) => name.trim());

/**
 * The client's headers that a child may see, as a flat list of names and values. MCP 2026-07-28
 * wants Mcp-Param-* forwarded though unknown; what `Connection` names ends here (RFC 9110, 7.6.1).
 */
export function headersToChild(
  rawHeaders: readonly string[],
  connection: string | undefined,
): string[] {
  const dropped = connection === undefined ? undefined : namesIn(connection);
  const passed: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!(TO_CHILD.has(name) || isMcp(name)) || dropped?.includes(name)) continue;
    const known = indexOfName(passed, name);
    if (known === -1) passed.push(name, rawHeaders[i + 1]!);
    // One list of a name means the same as several (RFC 9110, 5.3), and to every reader.
    else passed[known + 1] += `, ${rawHeaders[i + 1]!}`;
  }
  return passed;
}

function indexOfName(pairs: readonly string[], name: string): number {
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === name) return i;
  return -1;
}

/** What the HTTP client says of its own request and connection; the server's definition has no say in it. */
const OF_THE_REQUEST = new Set([
  "accept-encoding",
  "connection",
  "content-length",
  "host",
  "transfer-encoding",
]);

const staysOurs = (name: string): boolean =>
  name === "accept" || name === "content-type" || name.startsWith("mcp-");

/**
 * Those for the server with the ones that its definition has for every request, no name twice: what
 * speaks for the body and the protocol stays as the gateway or the client has it, of all others the
 * definition's replaces the client's.
 */
export function withOwnHeaders(
  headers: readonly string[],
  own: Readonly<Record<string, string>>,
): readonly string[] {
  const pairs = Object.entries(own);
  if (pairs.length === 0) return headers;
  const merged = new Map<string, readonly [name: string, value: string]>();
  for (let i = 0; i < headers.length; i += 2)
    merged.set(headers[i]!.toLowerCase(), [headers[i]!, headers[i + 1]!]);
  for (const pair of pairs) {
    const name = pair[0].toLowerCase();
    if (OF_THE_REQUEST.has(name) || (staysOurs(name) && merged.has(name))) continue;
    merged.set(name, pair);
  }
  return [...merged.values()].flat();
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

/** In which of the two forms of an answer (Streamable HTTP) a client takes it; `either` where it does not say so. */
export type Accepted = "json" | "stream" | "either";

const JSON_RANGE = /^application\/(?:json|\*)$/;
const STREAM_RANGE = /^text\/(?:event-stream|\*)$/;

let lastAccept: string | undefined;
let lastAccepted: Accepted = "either";

/** What an Accept header says of the two forms (RFC 9110, 12.5.1). Nearly every one is like the one before. */
export function acceptedIn(accept: string | undefined): Accepted {
  if (accept === lastAccept) return lastAccepted;
  lastAccept = accept;
  lastAccepted = readAccept(accept ?? "*/*");
  return lastAccepted;
}

function readAccept(accept: string): Accepted {
  const ranges = accept
    .toLowerCase()
    .split(",")
    .filter((range) => !/;\s*q=0(?:\.0*)?\s*(?:;|$)/.test(range))
    .map((range) => range.split(";", 1)[0]!.trim());
  const takesAll = ranges.includes("*/*");
  const takesJson = takesAll || ranges.some((range) => JSON_RANGE.test(range));
  const takesStream = takesAll || ranges.some((range) => STREAM_RANGE.test(range));
  // Who takes neither is not turned away: it gets what it would have got without asking.
  if (takesJson === takesStream) return "either";
  return takesJson ? "json" : "stream";
}

export function isEventStream(contentType: string | string[] | undefined): boolean {
  return typeof contentType === "string" && /^text\/event-stream\s*(?:;|$)/i.test(contentType);
}
