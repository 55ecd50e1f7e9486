import { contained } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import type { Posting } from "../links/link.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { canonicalId } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { textAt } from "../mcp/json-span.ts";
import { wholeText } from "../mcp/long-text.ts";
import type { Text } from "../mcp/long-text.ts";
import { inTurns } from "../platform/in-turns.ts";
import { answerWith, beginStream, emitMessage } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import type { Flow } from "./flow.ts";
import type { Unanswered } from "./in-flight.ts";
import type { HttpOutlet } from "./outlet.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";
import type { LazyMap } from "../platform/lazy.ts";

/** What is said in a client's place that has no stream for a question. */
export const TAKES_JSON_ALONE =
  "the client takes JSON alone and has no stream open, so nothing can be asked of it";

/** What is said in the server's place when the client itself, or an admin, has ended the session. */
export const ENDED = new SupervisorError(
  "SESSION_NOT_FOUND",
  "the session was ended before the server had answered",
);

/** What carries a POST of a relay to one generation, and its answer back. */
export interface Carried {
  /** Part of an event has gone out, and nothing may come between. */
  readonly isMidEvent: boolean;
  /** The last id of the server's that came of the answer. */
  readonly lastId: string | undefined;
  readonly posting: Posting;
  /** The ids of its requests, where nothing of it has reached the server. */
  unsent(): readonly string[];
  /** Nobody waits for this generation any more. */
  abandon(error: SupervisorError): void;
  /** Its client has left. */
  abort(): void;
  /** What has gone out of an event is all of it: no message that a client could read, but behind it another can follow. */
  closeEvent(): void;
  /** Resolves when it is known whether its generation has ended; see `Live.ending`. */
  ending(): Promise<void>;
}

/** A POST of a client that waits for answers. */
export interface Post {
  readonly outlet: ResumableAnswer;
  /** As `canonicalId` has them. */
  readonly progressTokens: readonly string[];
  readonly waiting: Set<string>;
  readonly isBatch: boolean;
  isStream: boolean;
  /** Of a batch whose client takes JSON alone: all go out together. */
  readonly answers: string[];
  readonly watch: CallWatch | undefined;
  /** `performance.now()` when it came. */
  readonly since: number;
  /** What carries it now, over a relay. */
  carried: Carried | undefined;
  /** Over a relay: asks the server to go on with the answer, which it has ended for its client to come back. */
  goOn: (() => void) | undefined;
}

/** Whether something can be said before the answer. */
export const canCarry = (post: Post): boolean => post.outlet.accepted !== "json";

/** Of one that was cancelled there is no answer, and of all of them nothing at all. */
function answerBatch({ outlet, answers }: Post): void {
  if (answers.length > 0) return answerWith(outlet, Buffer.from(`[${answers.join(",")}]`));
  outlet.head(202, {}, false);
  outlet.end();
}

export function newPost(
  requests: readonly ClientMessage[],
  outlet: ResumableAnswer,
  watch: CallWatch | undefined,
): Post {
  const progressTokens: string[] = [];
  const waiting = new Set<string>();
  for (const request of requests) {
    const token = tokenIn(request);
    if (token !== undefined) progressTokens.push(token);
    waiting.add(request.id!);
  }
  return {
    outlet,
    progressTokens,
    waiting,
    isBatch: requests.length > 1,
    isStream: false,
    answers: [],
    watch,
    since: performance.now(),
    carried: undefined,
    goOn: undefined,
  };
}

/** What was answered goes out, with this error for the others. */
function answerInPart(post: Post, error: SupervisorError, unanswered: readonly string[]): void {
  const { answers, watch, outlet } = post;
  if (post.waiting.size > 0) return answerSome(post, error, unanswered);
  if (answers.length === 0) return outlet.fail(error, unanswered);
  watch?.failApart(error);
  for (const id of unanswered) answers.push(rpcErrorText(error, watch?.requestId ?? "", id));
  answerBatch(post);
}

/** Some of a batch get an error, while others of it wait still. */
function answerSome(post: Post, error: SupervisorError, unanswered: readonly string[]): void {
  const { answers, watch, outlet } = post;
  watch?.failApart(error);
  for (const id of unanswered) {
    const text = rpcErrorText(error, watch?.requestId ?? "", id);
    if (!canCarry(post)) answers.push(text);
    else {
      begin(post);
      emitMessage(outlet, Buffer.from(text), [{ id, method: undefined }]);
    }
  }
}

/** What throws on the way to one POST or stream of the client's ends that one, and not its session. */
export function within(outlet: HttpOutlet, unanswered: readonly string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    outlet.fail(contained("request", error), unanswered);
  }
}

/** Puts one message on a stream of the session's own. */
export function emit(flow: Flow, stream: HttpOutlet, raw: Text, message: Message): void {
  within(stream, [], () => flow.emit(stream, raw, message));
}

/** One of its requests is answered; `onStream` puts a message there where it is one. */
export function answerOne(post: Post, raw: Text, id: string, onStream: (raw: Text) => void): void {
  post.waiting.delete(id);
  const isLast = post.waiting.size === 0;
  if (!post.isStream && !post.isBatch)
    return within(post.outlet, [id], () => answerWith(post.outlet, raw));
  if (!canCarry(post)) {
    post.answers.push(wholeText(raw));
    if (isLast) answerBatch(post);
    return;
  }
  emitOn(post, raw, onStream);
  if (isLast) post.outlet.end();
}

/** Puts a message of the server on the stream that the answer is from now on. */
export function emitOn(post: Post, raw: Text, onStream: (raw: Text) => void): void {
  within(post.outlet, [...post.waiting], () => {
    begin(post);
    onStream(raw);
  });
}

/** All that waited was cancelled, or is answered, and nothing more is said. */
export function endUnanswered(post: Post): void {
  if (!canCarry(post)) return answerBatch(post);
  begin(post);
  post.outlet.end();
}

/** From here on the answer is an event stream. */
export function begin(post: Post): void {
  if (post.isStream) return;
  post.isStream = true;
  beginStream(post.outlet);
}

/** The progress token of a request, as `canonicalId` has it. */
function tokenIn(request: ClientMessage): string | undefined {
  const span = request.find(["params", "_meta", "progressToken"]);
  return span && canonicalId(textAt(request.raw, span));
}

/** A POST that the server will not answer any more, and what of it has no answer, as JSON text. */
export interface Failed {
  readonly post: Post;
  readonly unanswered: readonly string[];
  /** Whether the server may have done what they ask; undefined where nobody can say. */
  readonly mayHaveHappened?: boolean | undefined;
}

/** Takes these requests from the POSTs, by their ids, that wait for them. */
export function takeFrom(
  posts: LazyMap<string, Post>,
  unanswered: readonly Unanswered[],
): Failed[] {
  const failed = new Map<Post, Unanswered[]>();
  for (const one of unanswered) {
    const post = posts.get(one.id);
    if (post === undefined) continue;
    posts.delete(one.id);
    post.waiting.delete(one.id);
    const lost = failed.get(post);
    if (lost === undefined) failed.set(post, [one]);
    else lost.push(one);
  }
  return Array.from(failed, ([post, lost]) => ({
    post,
    unanswered: lost.map(({ id }) => id),
    mayHaveHappened: anyOf(lost),
  }));
}

/** Whether any of them may have happened: not, where that is known of each. */
function anyOf(lost: readonly Unanswered[]): boolean | undefined {
  if (lost.some(({ mayHaveHappened }) => mayHaveHappened === true)) return true;
  return lost.every(({ mayHaveHappened }) => mayHaveHappened === false) ? false : undefined;
}

/** Answers all of them in the server's place. */
export const answerAll = (failed: readonly Failed[], error: SupervisorError): Promise<void> =>
  inTurns(
    failed,
    ({ post, unanswered, mayHaveHappened }) => {
      const told = mayHaveHappened === undefined ? error : error.withData({ mayHaveHappened });
      answerInPart(post, told, unanswered);
    },
    ({ unanswered }) => unanswered.length,
  );
