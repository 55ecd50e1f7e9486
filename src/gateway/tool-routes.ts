import type { ServerResponse } from "node:http";
import type { Builtins } from "../builtins/builtins.ts";
import { SupervisorError } from "../errors.ts";
import { sendText } from "../http/error-response.ts";
import { dropBody, readBody, requireJson } from "../http/read-body.ts";
import { HAS_LEFT } from "../mcp/messages.ts";
import type { Principal } from "../auth/registry.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import { ONE_WRITE_BYTES } from "../platform/framed-write.ts";
import type { Sessions } from "../sessions/sessions.ts";
import { callAnswer, listAnswer } from "../tools/answers.ts";
import type { Caller, Tools } from "../tools/tools.ts";
import type { FrontContext } from "./request-context.ts";
import { queryOf, valuesOf } from "./routes.ts";
import type { ToolRoute } from "./routes.ts";
import { settingsOf } from "./session-config.ts";
import { readToolBody } from "./tool-body.ts";
import { pageCall, toolCall } from "./tool-schemas.ts";
import type { Trace } from "./trace.ts";

export interface ToolRoutesParts {
  readonly tools: Tools;
  readonly builtins: Pick<Builtins, "markOf">;
  readonly sessions: Pick<Sessions, "open" | "unreadOf">;
}

/** An authenticated request for the user's tools. */
export interface ToolRequest {
  readonly req: BodyRequest;
  readonly res: ServerResponse;
  readonly trace: Trace;
  readonly principal: Principal;
  /** The user's own page has sent it, which may say in the body what clients say in the URL. */
  readonly isOfPage?: boolean;
}

export const TOOL_METHODS: Record<ToolRoute, readonly string[]> = {
  call: ["POST"],
  list: ["GET"],
  servers: ["GET"],
};

/** Answers a request for the user's own tools. Rejects as `Tools` does, and for a body that is none. */
export async function serveTools(
  route: ToolRoute,
  context: Pick<FrontContext, "config" | "edge">,
  parts: ToolRoutesParts,
  request: ToolRequest,
): Promise<void> {
  const { req, res, trace, principal } = request;
  trace.atEnd(parts.sessions.open.add(principal, () => res.destroy()));
  const { user } = principal;
  if (route === "call") return await call(context, parts, request);
  const caller: Caller = { user, settingsOf: (server) => settingsOf(parts.builtins, server, req) };
  dropBody(req);
  const answer =
    route === "list"
      ? listAnswer(await parts.tools.list(caller, serverIn(req.url ?? "")))
      : JSON.stringify({ servers: await parts.tools.servers(caller) });
  if (!res.destroyed) sendText(res, 200, {}, answer);
}

async function call(
  { config, edge }: Pick<FrontContext, "config" | "edge">,
  { tools, sessions, builtins }: ToolRoutesParts,
  { req, res, trace, principal: { user }, isOfPage = false }: ToolRequest,
): Promise<void> {
  const left = new AbortController();
  // A reason of its own, or Node makes an error for every call.
  trace.atEnd(() => left.abort(HAS_LEFT));
  requireJson(req);
  const body = await readBody(req, config.limits.bodyBytes, edge);
  if (body === undefined) return;
  const { settings, ...wanted } = await readToolBody(body, isOfPage ? pageCall : toolCall);
  const caller: Caller = {
    user,
    settingsOf: (server) => settingsOf(builtins, server, req, settings),
  };
  trace.setCall(wanted.method, body.length);
  const onServer = (server: string): void => trace.setServer(server);
  const context = { watch: trace, signal: left.signal, onServer };
  const result = await tools.call(caller, wanted, context);
  if (res.destroyed) return;
  const unread = sessions.unreadOf({
    get unread() {
      return res.writableLength;
    },
  });
  trace.atEnd(() => unread.close());
  const pieces = callAnswer(result);
  const full = unread.refusal(lengthOf(pieces));
  if (full !== undefined) throw full;
  sendPieces(res, pieces);
}

/** As `sendText`, for what may be large. */
function sendPieces(res: ServerResponse, pieces: readonly Buffer[]): void {
  const length = lengthOf(pieces);
  if (length <= ONE_WRITE_BYTES) return sendText(res, 200, {}, Buffer.concat(pieces));
  res.writeHead(200, {
    "content-type": "application/json",
    "content-length": length,
    "cache-control": "no-store",
  });
  for (const piece of pieces) res.write(piece);
  res.end();
}

const lengthOf = (pieces: readonly Buffer[]): number =>
  pieces.reduce((sum, { length }) => sum + length, 0);

/** The server that the query names. */
function serverIn(url: string): string | undefined {
  const [value, ...others] = valuesOf(queryOf(url), "server");
  if (others.length > 0) throw new SupervisorError("REQUEST_INVALID", "server may be given once");
  try {
    return value === undefined ? undefined : decodeURIComponent(value);
  } catch {
    throw new SupervisorError("REQUEST_INVALID", "server is not percent-encoded as it should be");
  }
}
