import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { headersToChild } from "../mcp/headers.ts";
import type { HttpSession } from "../sessions/http-sessions.ts";
import { HttpAnswer } from "./http-answer.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

/** A POST to a server that does not speak Streamable HTTP itself. */
export async function bridgePost(
  context: FrontContext,
  request: RequestContext,
  session: HttpSession | undefined,
  messages: readonly ClientMessage[],
): Promise<void> {
  const { req, res, principal, instance, server } = request;
  const isBeginning = messages.some(({ method }) => method === "initialize");
  if (session === undefined && !isBeginning)
    throw new SupervisorError(
      "REQUEST_INVALID",
      "no session: initialize first, and send its Mcp-Session-Id",
    );
  const { sessions } = context;
  const begun = session ?? (await sessions.openBridge(principal, instance, server, messages));
  if (begun.peer.kind !== "bridge")
    throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
  // Nobody will ever learn the id of a session whose client left, or had to, while it was begun.
  if (session === undefined && res.destroyed) return sessions.http.close(begun);
  const { bridge } = begun.peer;
  const answer = answerOf(context, request, begun, session === undefined ? begun.id : undefined);
  const release = sessions.http.hold(begun);
  const leave = (): void => {
    release();
    bridge.left(answer);
    // Without the answer to `initialize` the client never knew of this session, and nobody will end it.
    if (session === undefined && !res.writableFinished) sessions.http.close(begun);
  };
  request.trace.atEnd(leave);
  try {
    await bridge.post(
      messages,
      headersToChild(req.rawHeaders, req.headers.connection),
      answer,
      request.trace,
    );
  } catch (error) {
    if (session === undefined) sessions.http.close(begun);
    throw error;
  }
}

/** A GET opens the session's own stream, a DELETE ends the session; neither means anything without one. */
export function bridgeWithoutBody(
  context: FrontContext,
  request: RequestContext,
  session: HttpSession | undefined,
): void {
  const { req, res } = request;
  if (session?.peer.kind !== "bridge")
    throw new SupervisorError("METHOD_NOT_ALLOWED", "only POST works without a session");
  if (req.method === "DELETE") {
    context.sessions.http.close(session);
    res.writeHead(200, { "content-length": 0 });
    res.end();
    return;
  }
  const release = context.sessions.open.addStream(
    request.principal,
    () => res.destroy(),
    () => answer.lastMessageAt,
  );
  const answer = answerOf(context, request, session, undefined);
  const { bridge } = session.peer;
  request.trace.atEnd(() => {
    release();
    bridge.left(answer);
  });
  bridge.listen(answer);
}

function answerOf(
  context: FrontContext,
  request: RequestContext,
  session: HttpSession,
  id: string | undefined,
): HttpAnswer {
  const { heart } = context;
  request.trace.setGeneration((session.serving.live ?? session.live).generation);
  return new HttpAnswer({ heart, request, sessionHeader: () => id });
}
