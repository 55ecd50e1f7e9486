import type { Live } from "../instances/supervisor.ts";
import { askHttp } from "../links/ask-http.ts";
import type { HttpQuestion } from "../links/ask-http.ts";
import { requireHttp } from "../links/target.ts";
import { SMALL_BODY_BYTES } from "../mcp/client-body.ts";
import type { ClientMessage, Posted } from "../mcp/client-body.ts";
import { VERSION_HEADER } from "../mcp/headers.ts";
import type { Text } from "../mcp/long-text.ts";
import { META, withMeta } from "../mcp/modern.ts";
import type { ModernParams, ModernReading } from "../mcp/modern.ts";
import { asksToShow } from "../sessions/asleep.ts";
import type { Ask } from "../sessions/list-pages.ts";
import { serverSideIn } from "../sessions/session-memory.ts";
import type { Hello } from "../sessions/showings.ts";
import { modernIn } from "./bridge-modern.ts";
import { answerAtOnce } from "./http-answer.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

type Says = Extract<ModernReading, { kind: "request" }>;

/** What a POST without a session asks for that may be answered while the server sleeps. */
type Asked =
  | { readonly kind: "initialize"; readonly message: ClientMessage }
  | { readonly kind: "modern"; readonly message: ClientMessage; readonly says: Says };

function askedIn({ req }: RequestContext, posted: Posted): Asked | undefined {
  const [message, ...others] = posted.messages;
  if (message === undefined || others.length > 0 || !asksToShow(message)) return undefined;
  // No client has more to say there.
  if (message.raw.length > SMALL_BODY_BYTES) return undefined;
  if (message.method === "initialize") return { kind: "initialize", message };
  const says = modernIn(req, posted);
  return says?.kind === "request" ? { kind: "modern", message, says } : undefined;
}

/** Answers a POST without a session to a server that speaks Streamable HTTP itself and sleeps, where it is known what that would say. False where it is not. */
export function answerRelayAsleep(
  context: FrontContext,
  request: RequestContext,
  posted: Posted,
): boolean {
  const { instance } = request;
  const asked = instance.live === undefined ? askedIn(request, posted) : undefined;
  if (asked === undefined) return false;
  const { message } = asked;
  const { showings } = context.sessions;
  const shown =
    asked.kind === "modern"
      ? showings.modernAsleep(instance, message, asked.says)
      : showings.sessionlessAsleep(instance, message);
  if (shown !== undefined) answerAtOnce(context, request, shown);
  return shown !== undefined || (asked.kind === "initialize" && begin(context, request, message));
}

/** Begins a session whose server sleeps. False where it is not known what that would say. */
function begin(context: FrontContext, request: RequestContext, initialize: ClientMessage): boolean {
  const { sessions } = context;
  const { principal: holder, instance, server, res, trace } = request;
  if (sessions.showings.of("http").asleep(instance, initialize, initialize) === undefined)
    return false;
  const relay = sessions.beginRelay({ holder, instance, server });
  // Without the answer the client cannot know of this session, and nobody could go on with it.
  trace.atEnd(() => {
    if (!res.writableFinished) sessions.http.close(relay);
  });
  const shown = relay.session.sleeper.answer([initialize])!;
  answerAtOnce(context, request, shown, relay.session.id);
  return true;
}

/** The server has a POST without a session: it is asked what it shows to clients of 2026-07-28 that say the same. */
export function relayIsAwake(
  { sessions }: FrontContext,
  request: RequestContext,
  posted: Posted,
  live: Live,
): void {
  const asked = askedIn(request, posted);
  if (asked?.kind !== "modern") return;
  const { version, params: of } = asked.says;
  const ask: Ask = (method, params) => {
    const headers = [VERSION_HEADER, version, "mcp-method", method];
    return askAlone(sessions, live, { method, params: withMeta(params, metaOf(of)), headers });
  };
  sessions.showings.modernAwake({ instance: request.instance, live }, ask, asked.says);
}

/** A server without sessions has answered the `initialize` of a client: it is asked what it shows to those that say the same. */
export function sessionlessIsAwake(
  { sessions }: FrontContext,
  { instance }: RequestContext,
  live: Live,
  hello: Hello,
): void {
  const version = serverSideIn(hello.greeting)?.version ?? "";
  const headers = version === "" ? [] : [VERSION_HEADER, version];
  const ask: Ask = (method, params) => askAlone(sessions, live, { method, params, headers });
  sessions.showings.sessionlessAwake({ instance, live }, ask, hello);
}

async function askAlone(
  { backends }: FrontContext["sessions"],
  live: Live,
  question: HttpQuestion,
): Promise<Text> {
  const target = requireHttp(live.target);
  return await askHttp(backends.clientFor(live, target), target, question);
}

/** What a client says of itself, and nothing that is about one of its requests. */
function metaOf({ _meta }: ModernParams): Readonly<Record<string, unknown>> {
  const keys = [META.protocolVersion, META.clientInfo, META.clientCapabilities];
  return Object.fromEntries(keys.map((key) => [key, _meta?.[key]]));
}
