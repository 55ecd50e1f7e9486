import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { readEventId } from "../sessions/event-id.ts";
import type { HttpFront } from "../sessions/http-front.ts";
import type { HttpRelay } from "../sessions/http-relay.ts";
import { HttpAnswer } from "./http-answer.ts";
import { lastEventIdOf, passedHeaders } from "./request-context.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

/** A POST to a server that does not speak Streamable HTTP itself. */
export async function bridgePost(
  context: FrontContext,
  request: RequestContext,
  known: HttpFront | HttpRelay | undefined,
  messages: readonly ClientMessage[],
): Promise<void> {
  const { req, res, principal: holder, instance, server, settings } = request;
  const isBeginning = messages.some(({ method }) => method === "initialize");
  if (known === undefined && !isBeginning)
    throw new SupervisorError(
      "REQUEST_INVALID",
      "no session: initialize first, and send its Mcp-Session-Id",
    );
  const { sessions } = context;
  const front =
    known ?? (await sessions.openBridge({ holder, instance, server, settings }, messages));
  if (front.kind !== "bridge") throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
  // Nobody will ever learn the id of a session whose client left, or had to, while it was begun.
  if (known === undefined && res.destroyed) return sessions.http.close(front);
  const answer = answerOf(context, request, front, known === undefined);
  const release = sessions.http.hold(front);
  request.trace.atEnd(() => {
    release();
    front.left(answer);
    // Without the answer to `initialize` the client never knew of this session, and nobody will end it.
    const isBegun = res.writableFinished && front.session.memory.initialize !== undefined;
    if (known === undefined && !isBegun) sessions.http.close(front);
  });
  const headers = passedHeaders(req);
  try {
    await front.post(messages, headers, answer, request.trace);
  } catch (error) {
    if (known === undefined) sessions.http.close(front);
    throw error;
  }
}

/** A GET opens the session's own stream, a DELETE ends the session; neither means anything without one. */
export function bridgeWithoutBody(
  context: FrontContext,
  request: RequestContext,
  front: HttpFront | HttpRelay | undefined,
): void {
  const { req, res } = request;
  if (front?.kind !== "bridge")
    throw new SupervisorError("METHOD_NOT_ALLOWED", "only POST works without a session");
  if (req.method === "DELETE") {
    context.sessions.http.close(front);
    res.writeHead(200, { "content-length": 0 });
    res.end();
    return;
  }
  const release = context.sessions.open.addStream(
    request.principal,
    () => res.destroy(),
    () => answer.lastMessageAt,
    request.server.name,
  );
  request.trace.atEnd(release);
  const answer = answerOf(context, request, front, false);
  const at = readEventId(lastEventIdOf(request));
  front.listen({ outlet: answer, requestId: request.requestId, at });
  request.trace.atEnd(() => front.left(answer));
}

function answerOf(
  { heart }: FrontContext,
  request: RequestContext,
  { session }: HttpFront,
  isFirst: boolean,
): HttpAnswer {
  const live = session.serving?.instance.live ?? session.live;
  if (live !== undefined) request.trace.setGeneration(live.generation);
  // Told once, with the answer to `initialize`.
  const id = isFirst ? session.id : undefined;
  return new HttpAnswer({ heart, request, sessionHeader: () => id });
}
