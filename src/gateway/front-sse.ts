import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { HttpResponse } from "../http/exchange.ts";
import { sendText } from "../http/error-response.ts";
import { faultOfBody } from "../mcp/client-body.ts";
import { isForNobody, isRequest } from "../mcp/envelope.ts";
import { headersToClient } from "../mcp/headers.ts";
import { ACCEPTED } from "../links/link.ts";
import type { PostAnswer, Posting } from "../links/link.ts";
import type { SseFront } from "../sessions/sse-front.ts";
import { readEventId } from "../sessions/event-id.ts";
import { ClientStream } from "./client-stream.ts";
import { readPosted } from "./posted-body.ts";
import type { PostedBody } from "./posted-body.ts";
import { dropBody } from "../http/read-body.ts";
import { queryOf, valuesOf } from "./routes.ts";
import { claimOf, lastEventIdOf, passedHeaders } from "./request-context.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

const SESSION_PARAM = "session_id";

/**
 * `GET …/sse`: the session's stream. The endpoint is sent at once, whatever state the child is in,
 * because no client retries a failed connect and some wait two seconds only. It is an absolute path
 * (clients in Java and Python refuse other forms) and repeats the query of the stream, so that
 * clients which cannot send headers carry their key to the POSTs.
 */
export function openSseStream(context: FrontContext, request: RequestContext): void {
  const { req, res, principal, route, instance, server, settings, requestId, trace } = request;
  const { sessions } = context;
  // Taken before the head is sent, while a refusal can still be a status.
  const release = sessions.open.addStream(
    principal,
    () => res.destroy(),
    () => stream.lastMessageAt,
    server.name,
  );
  dropBody(req);
  const stream = new ClientStream(res, context.heart);
  const agent = req.headers["user-agent"];
  const opening = { holder: principal, instance, server, settings, requestId, agent };
  const lastId = lastEventIdOf(request);
  const last = readEventId(lastId);
  const known = last && sessions.findSse(last, opening);
  const front = known ?? sessions.openSse({ ...opening, outlet: stream });
  trace.atEnd(() => {
    release();
    front.left(stream);
  });
  const base = `${context.prefix}/u/${route.user}${route.server === undefined ? "" : `/${route.server}`}/messages`;
  const kept = queryOf(req.url ?? "")
    .split("&")
    .filter((pair) => pair !== "" && !pair.startsWith(`${SESSION_PARAM}=`));
  const path = `${base}?${[...kept, `${SESSION_PARAM}=${front.session.id}`].join("&")}`;
  stream.endpoint(path, known === undefined ? front.firstId : lastId!);
  if (known !== undefined) known.goOn(stream, last!.n);
}

/** `POST …/messages`: one message of a session; answered with what the child answers. */
export function postSseMessage(
  context: FrontContext,
  request: RequestContext,
): Promise<void> | undefined {
  const { req, res, principal, server, trace } = request;
  const ids = valuesOf(queryOf(req.url ?? ""), SESSION_PARAM);
  const [sessionId = ""] = ids.length === 1 ? ids : [];
  const front = context.sessions.sse.require(sessionId, claimOf(request));
  trace.atEnd(context.sessions.open.add(principal, () => res.destroy(), server.name));
  const posted = readPosted(context, request, front.session.id);
  return posted instanceof Promise
    ? posted.then((late) => late && deliver(context, request, front, late))
    : deliver(context, request, front, posted);
}

function deliver(
  context: FrontContext,
  request: RequestContext,
  front: SseFront,
  { body, seen }: PostedBody,
): Promise<void> | undefined {
  const { req, res, principal, server, trace } = request;
  if (seen.kind !== "messages") throw new SupervisorError("REQUEST_INVALID", faultOfBody(seen));
  const { messages } = seen;
  trace.setMessages(messages, body.length);
  if (messages.every(isForNobody)) {
    answerWith(res, ACCEPTED);
    return undefined;
  }
  const posting = { body, messages, headers: passedHeaders(req) };
  const wait = context.gate.waitOf(principal.user, server, messages);
  const answer =
    wait === undefined && context.sessions.refusal === undefined
      ? front.deliver(posting, trace)
      : deliverLate(context, request, front, { posting, wait });
  return answer.then((said) => {
    if (!res.destroyed) answerWith(res, said);
  });
}

interface Late {
  readonly posting: Posting;
  readonly wait: Promise<void> | undefined;
}

/** What has to wait for a token, or is refused: on the stream, where its requests are answered. */
async function deliverLate(
  { sessions }: FrontContext,
  { trace }: RequestContext,
  front: SseFront,
  { posting, wait }: Late,
): Promise<PostAnswer> {
  const late = wait && (await wait.then(() => undefined, toSupervisorError));
  const why = sessions.refusal ?? late;
  const requests = posting.messages.filter(isRequest);
  if (why === undefined || requests.length === 0) return await front.deliver(posting, trace);
  return front.refuse(
    requests.map(({ id }) => id!),
    why,
    trace,
  );
}

const answerWith = (res: HttpResponse, { status, headers, body }: PostAnswer): void =>
  sendText(res, status, headersToClient(headers), body);
