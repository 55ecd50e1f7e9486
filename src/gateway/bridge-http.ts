import { SupervisorError } from "../errors.ts";
import { rpcErrorText, sendText } from "../http/error-response.ts";
import { isRequest } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { headersToChild } from "../mcp/headers.ts";
import { LEGACY_VERSIONS } from "../mcp/versions.ts";
import type { HttpSession } from "../sessions/http-sessions.ts";
import { HttpAnswer } from "./http-answer.ts";
import type { FrontContext, Visit } from "./visit.ts";

const VERSION_HEADER = "mcp-protocol-version";
/** MCP 2026-07-28: the version is not supported here; clients of both eras fall back to `initialize`. */
const UNSUPPORTED_VERSION = -32022;

/** A POST to a server that does not speak Streamable HTTP itself. */
export async function bridgePost(
  context: FrontContext,
  visit: Visit,
  session: HttpSession | undefined,
  body: Buffer,
  messages: readonly Message[],
): Promise<void> {
  const { req, res, principal, instance, server } = visit;
  if (refuseVersion(visit, messages)) return;
  const isBeginning = messages.some(({ method }) => method === "initialize");
  if (session === undefined && !isBeginning)
    throw new SupervisorError(
      "REQUEST_INVALID",
      "no session: initialize first, and send its Mcp-Session-Id",
    );
  const { sessions } = context;
  const begun = session ?? (await sessions.openBridge(principal, instance, server, body, messages));
  if (begun.peer.kind !== "bridge")
    throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
  const { bridge } = begun.peer;
  const answer = answerOf(context, visit, begun, session === undefined ? begun.id : undefined);
  const release = sessions.http.hold(begun);
  res.once("close", () => {
    release();
    bridge.left(answer);
  });
  try {
    await bridge.post(
      body,
      messages,
      headersToChild(req.rawHeaders, req.headers.connection),
      answer,
    );
  } catch (error) {
    if (session === undefined) sessions.http.close(begun);
    throw error;
  }
}

/** A GET opens the session's own stream, a DELETE ends the session; neither means anything without one. */
export function bridgeWithoutBody(
  context: FrontContext,
  visit: Visit,
  session: HttpSession | undefined,
): void {
  const { req, res } = visit;
  if (session?.peer.kind !== "bridge")
    throw new SupervisorError("METHOD_NOT_ALLOWED", "only POST works without a session");
  if (req.method === "DELETE") {
    context.sessions.http.close(session);
    res.writeHead(200, { "content-length": 0 });
    res.end();
    return;
  }
  const release = context.sessions.open.add(visit.principal, true, () => res.destroy());
  const over = context.sessions.http.hold(session);
  const answer = answerOf(context, visit, session, undefined);
  const { bridge } = session.peer;
  res.once("close", () => {
    release();
    over();
    bridge.left(answer);
  });
  bridge.listen(answer);
}

function answerOf(
  context: FrontContext,
  visit: Visit,
  session: HttpSession,
  id: string | undefined,
): HttpAnswer {
  const { heart, log } = context;
  return new HttpAnswer({ heart, log, visit, live: session.live, sessionHeader: () => id });
}

/**
 * Answers a request of a revision that the bridge does not carry, and tells that it did. Eras are
 * not bridged: a modern client is told so in the way that makes it fall back to `initialize`.
 */
function refuseVersion({ req, res, requestId }: Visit, messages: readonly Message[]): boolean {
  const asked = req.headers[VERSION_HEADER];
  const isDiscovery = messages.some(({ method }) => method === "server/discover");
  if (!isDiscovery && (asked === undefined || LEGACY_VERSIONS.some((version) => version === asked)))
    return false;
  const error = new SupervisorError(
    "REQUEST_INVALID",
    "this server speaks an earlier revision of MCP: begin with initialize",
  );
  const text = rpcErrorText(
    error,
    requestId,
    messages.find(isRequest)?.id ?? "null",
    UNSUPPORTED_VERSION,
    {
      supported: LEGACY_VERSIONS,
      requested: typeof asked === "string" ? asked : null,
    },
  );
  sendText(res, 400, {}, text);
  return true;
}
