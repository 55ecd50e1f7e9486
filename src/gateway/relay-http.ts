import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Live } from "../instances/supervisor.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { ClientMessage, Posted } from "../mcp/client-body.ts";
import { idsOf } from "../mcp/envelope.ts";
import { readEventId } from "../sessions/event-id.ts";
import { ResumableAnswer } from "../sessions/resumable-answer.ts";
import { sessionIdIn } from "../sessions/http-exchange.ts";
import type { HttpFront } from "../sessions/http-front.ts";
import type { HttpRelay } from "../sessions/http-relay.ts";
import { HttpAnswer } from "./http-answer.ts";
import { answerRelayAsleep, relayIsAwake, sessionlessIsAwake } from "./relay-asleep.ts";
import { lastEventIdOf, passedHeaders } from "./request-context.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

type Known = HttpFront | HttpRelay | undefined;

interface Body extends Posted {
  readonly body: Buffer;
}

/** A POST to a server that speaks Streamable HTTP itself. */
export function relayPost(
  context: FrontContext,
  request: RequestContext,
  known: Known,
  sent: Body,
): Promise<void> {
  return known?.kind === "relay"
    ? postInSession(context, request, known, sent)
    : postAlone(context, request, sent);
}

async function postAlone(
  context: FrontContext,
  request: RequestContext,
  sent: Body,
): Promise<void> {
  const { res, instance } = request;
  if (answerRelayAsleep(context, request, sent)) return;
  // To ask for a child is use, and what is refused, or needs no answer, is none.
  const live = instance.live ?? (await instance.ensure());
  // The client may have left while the child was starting; the child stays for its next try.
  if (res.destroyed) return;
  carryAlone(context, request, live, sent);
  relayIsAwake(context, request, sent, live);
}

/** A GET opens a stream, a DELETE ends the session; neither starts a child. */
export function relayWithoutBody(
  context: FrontContext,
  request: RequestContext,
  known: Known,
): void {
  const { req, res, principal, instance, server, trace } = request;
  const { open } = context.sessions;
  const isStream = req.method === "GET";
  const relay = known?.kind === "relay" ? known : undefined;
  // Langflow and mcp-remote send these to feel their way; 405 is what servers without streams say (2025-11-25, transports).
  if (relay === undefined && instance.live === undefined)
    throw new SupervisorError("METHOD_NOT_ALLOWED", "only POST works without a session");
  const close = (): void => void res.destroy();
  let answer: HttpAnswer | undefined;
  trace.atEnd(
    isStream
      ? open.addStream(principal, close, () => answer?.lastMessageAt, server.name)
      : open.add(principal, close, server.name),
  );
  if (relay === undefined) {
    answer = carryAlone(context, request, instance.live!, { body: null, messages: [] });
    return;
  }
  setGeneration(request, relay.session.live ?? instance.live);
  if (!isStream) return void endSession(context, request, relay);
  answer = answerIn(context, request, relay);
  const outlet = answer;
  const at = readEventId(lastEventIdOf(request));
  relay.listen({ outlet, requestId: request.requestId, at }, passedHeaders(request.req));
  trace.atEnd(() => relay.left(outlet));
}

function postInSession(
  context: FrontContext,
  request: RequestContext,
  relay: HttpRelay,
  { body, messages }: Body,
): Promise<void> {
  const { res, instance, trace } = request;
  setGeneration(request, relay.session.live ?? instance.live);
  const answer = answerIn(context, request, relay);
  const release = context.sessions.http.hold(relay);
  trace.atEnd(() => {
    release();
    relay.left(answer);
  });
  const posting = { body, messages, headers: passedHeaders(request.req) };
  return relay.post(posting, answer, trace, () => res.destroyed);
}

/** What the server says to that goes to the client; without one the session just ends. */
async function endSession(
  context: FrontContext,
  request: RequestContext,
  relay: HttpRelay,
): Promise<void> {
  const answer = answerIn(context, request, relay);
  try {
    const { status, headers, body } = await relay.tellEnd(passedHeaders(request.req));
    if (status < 300) context.sessions.http.close(relay, true);
    answer.head(status, headers, false);
    if (body.length > 0) answer.part(body, true);
    answer.end();
  } catch (error) {
    answer.fail(toSupervisorError(error), []);
  }
}

/** Sends what belongs to no session that is known, and returns where its answer goes. */
function carryAlone(
  context: FrontContext,
  request: RequestContext,
  live: Live,
  { body, messages }: Body | { body: null; messages: [] },
): HttpAnswer {
  const { sessions, heart } = context;
  const { req, principal: holder, instance, server, trace } = request;
  trace.setGeneration(live.generation);
  const whose = { holder, instance, server };
  const method = req.method as "POST" | "GET" | "DELETE";
  const isBeginning = messages.some((message) => message.method === "initialize");
  let relay: HttpRelay | undefined;
  const own = new HttpAnswer({
    heart,
    request,
    sessionHeader: (status, received) => {
      const childId = sessionIdIn(received);
      const isOk = status >= 200 && status < 300;
      // Learned from a good answer to initialize alone: servers put fresh ids on refusals too.
      if (!isBeginning || childId === undefined || !isOk) return undefined;
      relay ??= sessions.beginRelay(whose, post.live, childId);
      return relay.session.id;
    },
  });
  const outlet = isBeginning ? answerToBegin(own, request, messages, () => relay) : own;
  const post = sessions.carry(
    whose,
    {
      method,
      headers: passedHeaders(request.req),
      body,
      messages,
      watch: trace,
      outlet,
      onInitialized: (initialize, greeting) => {
        if (relay === undefined)
          sessionlessIsAwake(context, request, post.live, { initialize, greeting });
        else relay.session.memory.begun(initialize, greeting);
      },
    },
    live,
  );
  sessions.carried.add(post);
  trace.atEnd(() => {
    sessions.carried.delete(post);
    post.abort();
    // Without the answer the client cannot know of this session, and nobody could go on with it.
    if (relay !== undefined && relay.session.memory.initialize === undefined)
      sessions.http.close(relay);
  });
  return own;
}

/** The answer to an `initialize`: a stream of it has ids once it has told of a session. */
function answerToBegin(
  outlet: HttpAnswer,
  { requestId }: RequestContext,
  messages: readonly ClientMessage[],
  relay: () => HttpRelay | undefined,
): ResumableAnswer {
  const resuming = {
    get log() {
      return relay()?.returns.log;
    },
    resumeWindowMs: 0,
    isPrimed: false,
  };
  const options = { resuming, asked: idsOf(messages), requestId, onGone: () => {} };
  return new ResumableAnswer(options, outlet);
}

function answerIn(
  { heart }: FrontContext,
  request: RequestContext,
  { session }: HttpRelay,
): HttpAnswer {
  // Some servers name the session in every answer, by an id that is theirs alone.
  const sessionHeader = (_status: number, received: ResponseHeaders): string | undefined =>
    sessionIdIn(received) === undefined ? undefined : session.id;
  return new HttpAnswer({ heart, request, sessionHeader });
}

function setGeneration({ trace }: RequestContext, live: Live | undefined): void {
  if (live !== undefined) trace.setGeneration(live.generation);
}
