import { SupervisorError } from "../errors.ts";
import { errorHeaders, rpcErrorText, sendError, sendText } from "../http/error-response.ts";
import { faultOfBody } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isForNobody, isPing, isRequest } from "../mcp/envelope.ts";
import { pongText } from "../mcp/messages.ts";
import { SESSION_HEADER } from "../mcp/headers.ts";
import { urlElicitation } from "../mcp/url-elicitation.ts";
import type { HttpFront } from "../sessions/http-front.ts";
import type { HttpRelay } from "../sessions/http-relay.ts";
import type { Session } from "../sessions/session.ts";
import { bridgePost, bridgeWithoutBody } from "./bridge-http.ts";
import { modernIn, serveModern } from "./bridge-modern.ts";
import { answerAtOnce } from "./http-answer.ts";
import { relayPost, relayWithoutBody } from "./relay-http.ts";
import { dropBody } from "../http/read-body.ts";
import { readPosted } from "./posted-body.ts";
import type { PostedBody } from "./posted-body.ts";
import { claimOf } from "./request-context.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

const NO_MESSAGES: readonly ClientMessage[] = [];

/** `POST|GET|DELETE …/mcp`: Streamable HTTP, of both eras. */
export function serveHttp(
  context: FrontContext,
  request: RequestContext,
): Promise<void> | undefined {
  if (request.req.method === "POST") return readPost(context, request);
  serveWithoutBody(context, request);
  return undefined;
}

function readPost(context: FrontContext, request: RequestContext): Promise<void> | undefined {
  const { req, res, trace, principal, server } = request;
  trace.atEnd(context.sessions.open.add(principal, () => res.destroy(), server.name));
  const id = req.headers[SESSION_HEADER];
  const posted = readPosted(context, request, typeof id === "string" ? id : undefined);
  if (!(posted instanceof Promise)) return servePost(context, request, posted);
  return posted.then((late) => late && servePost(context, request, late));
}

async function servePost(
  context: FrontContext,
  request: RequestContext,
  { body, seen }: PostedBody,
): Promise<void> {
  const { req, res, requestId, trace } = request;
  let messages = NO_MESSAGES;
  try {
    if (seen.kind !== "messages") {
      // Whoever names a session that is not theirs is told that, whatever else is wrong.
      sessionOf(context, request);
      const refusal = new SupervisorError("REQUEST_INVALID", faultOfBody(seen));
      trace.fail(refusal);
      const text = rpcErrorText(refusal, requestId, "null", {
        code: seen.kind === "not-json" ? -32700 : -32600,
      });
      return sendText(res, 400, {}, text);
    }
    messages = seen.messages;
    trace.setMessages(messages, body.length);
    if (messages.every(isForNobody)) return drop(context, request);
    const { refusal } = context.sessions;
    if (refusal !== undefined && messages.some(isRequest)) throw refusal;
    const wait = context.gate.waitOf(request.principal.user, request.server, messages);
    if (wait !== undefined) await wait;
    const isBridged = request.server.transport !== "http";
    const modern = isBridged ? modernIn(req, seen) : undefined;
    if (modern !== undefined) return await serveModern(context, request, modern, messages);
    if (answerPing(context, request, messages)) return;
    const known = sessionOf(context, request);
    if (isBridged) return await bridgePost(context, request, known, messages);
    await relayPost(context, request, known, { ...seen, body });
  } catch (error) {
    trace.fail(error);
    refusePost(request, error, messages, knownSession(context, request)?.memory.initialize);
  }
}

/** The session that the request names, whatever became of its child. */
function knownSession({ sessions }: FrontContext, request: RequestContext): Session | undefined {
  const id = request.req.headers[SESSION_HEADER];
  return typeof id === "string" ? sessions.http.find(id, claimOf(request))?.session : undefined;
}

/** Takes what nobody waits for, and starts nothing for it. */
function drop(context: FrontContext, request: RequestContext): void {
  sessionOf(context, request);
  request.res.writeHead(202, { "content-length": 0 });
  request.res.end();
}

/** A GET or DELETE is about a session that is there: neither starts a child. */
function serveWithoutBody(context: FrontContext, request: RequestContext): void {
  dropBody(request.req);
  const known = sessionOf(context, request);
  if (request.server.transport === "http") relayWithoutBody(context, request, known);
  else bridgeWithoutBody(context, request, known);
}

/** A ping asks whether the session is there. While its child is down the answer is ours: nothing is started for that. */
function answerPing(
  context: FrontContext,
  request: RequestContext,
  messages: readonly ClientMessage[],
): boolean {
  const { req, instance, server } = request;
  const [ping] = messages;
  if (messages.length !== 1 || !isPing(ping!)) return false;
  const session = knownSession(context, request);
  const isAlone = req.headers[SESSION_HEADER] === undefined && server.transport === "http";
  const isKnown = session !== undefined || isAlone;
  if (!isKnown || (session?.serving?.instance ?? instance).live !== undefined) return false;
  if (session !== undefined) session.lastUsedAt = performance.now();
  answerAtOnce(context, request, Buffer.from(pongText(ping!.id!)));
  return true;
}

function sessionOf(
  context: FrontContext,
  request: RequestContext,
): HttpFront | HttpRelay | undefined {
  const id = request.req.headers[SESSION_HEADER];
  return typeof id === "string" ? context.sessions.http.require(id, claimOf(request)) : undefined;
}

/** Answers a POST with a JSON-RPC error that names the request it belongs to. */
export function refusePost(
  request: Pick<RequestContext, "res" | "requestId">,
  failure: unknown,
  messages: readonly ClientMessage[],
  greeting?: ClientMessage,
): void {
  const { res, requestId } = request;
  if (!(failure instanceof SupervisorError)) return sendError(res, failure, requestId, "client");
  const id = messages.find(isRequest)?.id ?? "null";
  const elicitation = urlElicitation(failure, [greeting, ...messages]);
  // An error of the protocol: clients do not read the body of a status that says failure.
  if (elicitation !== undefined)
    return sendText(res, 200, {}, rpcErrorText(failure, requestId, id, elicitation));
  sendText(res, failure.status, errorHeaders(failure), rpcErrorText(failure, requestId, id));
}
