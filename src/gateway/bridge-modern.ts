import { SupervisorError } from "../errors.ts";
import type { RequestHead } from "../http/exchange.ts";
import { rpcErrorText, sendText } from "../http/error-response.ts";
import { isRequest } from "../mcp/envelope.ts";
import { valueOf } from "../mcp/client-body.ts";
import type { ClientMessage, Posted } from "../mcp/client-body.ts";
import { SESSION_HEADER, acceptedIn } from "../mcp/headers.ts";
import { META, RPC, readModern } from "../mcp/modern.ts";
import type { ModernReading } from "../mcp/modern.ts";
import { paramHeaderFault } from "../mcp/param-headers.ts";
import { LEGACY_VERSIONS, isLegacyVersion } from "../mcp/versions.ts";
import { noteUnanswerable } from "../sessions/calls.ts";
import { ModernPost } from "../sessions/modern-post.ts";
import type { ModernServer, ModernServing } from "../sessions/modern-server.ts";
import { HttpAnswer } from "./http-answer.ts";
import { answerModernAsleep, modernIsAwake } from "./modern-asleep.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

type Modern = Exclude<ModernReading, { readonly kind: "legacy" }>;

/**
 * What a POST to a bridge says as a request of 2026-07-28, undefined where it belongs to a session
 * or begins one. A session id on a modern request means nothing (MCP 2026-07-28, streamable HTTP).
 */
export function modernIn(req: RequestHead, { messages, isBatch }: Posted): Modern | undefined {
  const version = headerOf(req, "mcp-protocol-version");
  const isDiscovery = messages.some(({ method }) => method === "server/discover");
  const isOfSession = version === undefined && headerOf(req, SESSION_HEADER) !== undefined;
  // Nearly every message is of a session, and its body need not be read once more.
  if (!isDiscovery && (isOfSession || (version !== undefined && isLegacyVersion(version))))
    return undefined;
  const reading = readModern(isBatch ? messages : valueOf(messages[0]!), {
    version,
    method: headerOf(req, "mcp-method"),
    name: headerOf(req, "mcp-name"),
  });
  if (reading.kind !== "legacy") return reading;
  // It names no revision, and no server of a session knows the method.
  return isDiscovery ? { kind: "request", version: "", params: {} } : undefined;
}

/** Answers a modern request: by a child that speaks 2026-07-28, or so that the client falls back to `initialize`. */
export async function serveModern(
  context: FrontContext,
  request: RequestContext,
  modern: Modern,
  messages: readonly ClientMessage[],
): Promise<void> {
  const { req, res, instance, server } = request;
  const { sessions } = context;
  // Eras are not bridged, and only stdio has children that may be of this one.
  const isKnown =
    server.kind === "builtin" ||
    (server.transport === "stdio" && (await sessions.isModern(instance)));
  if (!isKnown)
    return refuseVersion(
      request,
      messages,
      "this server speaks an earlier revision of MCP: begin with initialize",
      LEGACY_VERSIONS,
    );
  if (modern.kind === "fault") return refuse(request, messages, modern);
  if (modern.kind === "request" && answerModernAsleep(context, request, modern, messages[0]!))
    return;
  const served = sessions.modern(request);
  // To ask for a child is use, and the request may yet be refused.
  const serving = await served.ready();
  if (res.destroyed) return;
  if (modern.kind === "notification") {
    for (const message of messages) noteUnanswerable(message, request.trace);
    // Its only one is "cancelled", which over HTTP is said by closing the stream.
    if (messages[0]?.method !== "notifications/cancelled")
      await serving.hub.notify(messages[0]!.raw);
    res.writeHead(202, { "content-length": 0 });
    res.end();
    return;
  }
  if (!serving.hub.versions.includes(modern.version))
    return refuseVersion(
      request,
      messages,
      "this server does not speak that revision of MCP",
      serving.hub.versions,
    );
  const [message] = messages;
  if (message?.method === "subscriptions/listen" && acceptedIn(req.headers.accept) === "json")
    throw new SupervisorError(
      "NOT_ACCEPTABLE",
      "the answer is an event stream, so Accept must name text/event-stream",
    );
  const { params } = modern;
  const fault =
    message?.method === "tools/call" ? await paramFault(served, req, params) : undefined;
  if (fault !== undefined)
    return refuse(request, messages, { code: RPC.headerMismatch, message: fault });
  carry(context, request, { served, serving, message: messages[0]! });
  modernIsAwake(context, { ...serving, instance: served.instance }, modern, messages[0]!);
}

interface Carried {
  readonly served: ModernServer;
  readonly serving: ModernServing;
  readonly message: ClientMessage;
}

function carry(
  context: FrontContext,
  request: RequestContext,
  { served, serving, message }: Carried,
): void {
  const { heart } = context;
  const { res, trace } = request;
  trace.setGeneration(serving.live.generation);
  const answer = new HttpAnswer({ heart, request, sessionHeader: () => undefined });
  const post = new ModernPost(served, answer, context.sessions.unreadOf(answer));
  context.sessions.carried.add(post);
  trace.atEnd(() => {
    context.sessions.carried.delete(post);
    post.abort();
  });
  // The client may have left while headers were checked.
  if (res.destroyed) post.abort();
  else post.send(message, serving, trace);
}

async function paramFault(
  served: ModernServer,
  req: RequestHead,
  { name, arguments: args, _meta: meta }: Extract<Modern, { kind: "request" }>["params"],
): Promise<string | undefined> {
  if (typeof name !== "string") return undefined;
  const declared = await served.ask(({ hub }) =>
    hub.paramHeaders(name, meta?.[META.clientCapabilities]),
  );
  return paramHeaderFault(declared, args, (header) => headerOf(req, header));
}

function refuseVersion(
  request: RequestContext,
  messages: readonly ClientMessage[],
  message: string,
  supported: readonly string[],
): void {
  const requested = headerOf(request.req, "mcp-protocol-version") ?? null;
  const data = { supported, requested };
  refuse(request, messages, { code: RPC.unsupportedVersion, message, data });
}

interface Fault {
  code: number;
  message: string;
  data?: Readonly<Record<string, unknown>>;
}

/** 400, with an error of the protocol and not of ours. */
function refuse(
  { res, requestId, trace }: RequestContext,
  messages: readonly ClientMessage[],
  { code, message, data }: Fault,
): void {
  const error = new SupervisorError("REQUEST_INVALID", message);
  trace.fail(error);
  const id = messages.find(isRequest)?.id ?? "null";
  sendText(res, error.status, {}, rpcErrorText(error, requestId, id, { code, data }));
}

/** One value, as Node gives it; a header that stands twice is joined by commas and matches nothing. */
function headerOf(req: RequestHead, name: string): string | undefined {
  const value = req.headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}
