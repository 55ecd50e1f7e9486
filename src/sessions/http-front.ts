import { unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import { cancelledBy, ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idAt, idsOf, isPing, isRequest, isResponse } from "../mcp/envelope.ts";
import { HAS_LEFT, pongText, refusalText } from "../mcp/messages.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { answerWith } from "./bridged-answer.ts";
import type { Flow } from "./flow.ts";
import type { ClientOutlet } from "./outlet.ts";
import type { CallWatch } from "./calls.ts";
import type { Front, TellAll } from "./front.ts";
import type { InFlight, Unanswered } from "./in-flight.ts";
import {
  ENDED,
  TAKES_JSON_ALONE,
  answerAll,
  answerOne,
  canCarry,
  emit,
  newPost,
  takeFrom,
  endUnanswered,
  emitOn,
} from "./open-post.ts";
import type { Failed, Post } from "./open-post.ts";
import type { HttpSession } from "./http-sessions.ts";
import { HttpStreams } from "./http-streams.ts";

import { Patience } from "./patience.ts";
import { Readers } from "./readers.ts";
import type { Reading, ReturnsOptions } from "./returns.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";
import { ENDED_BY_SERVER } from "./session-errors.ts";
import type { Place } from "./serving.ts";
import { Session } from "./session.ts";
import type { SessionOptions } from "./session-options.ts";
import { LazyMap } from "../platform/lazy.ts";

const TOO_MANY = "too many questions wait for the client's answer";
/** No client has as many open at once; what a server asks must not fill the daemon. */
const MAX_QUESTIONS = 100;
/** What a bridge hands on is messages, one by one. */
const NO_BODY = Buffer.alloc(0);

export interface HttpFrontOptions extends SessionOptions, ReturnsOptions {
  readonly flow: Flow;
  /** The instance that serves the session, told from its client's `initialize`, once none does any more. */
  readonly again: (initialize: ClientMessage) => Place;
}

/**
 * A session's client over Streamable HTTP (to 2025-11-25), where its server speaks something else.
 *
 * The answer to a POST goes out on that POST, as plain JSON where nothing came before it, else as
 * the end of a stream. What belongs to no POST goes to the stream of the GET, or waits for it.
 */
export class HttpFront implements Front, HttpSession {
  readonly kind = "bridge";
  readonly session: Session;
  openRequests = 0;
  readonly cutOff = ENDED_BY_SERVER;
  readonly #flow: Flow;
  /** Those that wait for an answer: by the ids that they wait for, by their progress tokens, by where the answer goes. */
  readonly #posts = new LazyMap<string, Post>();
  readonly #byToken = new LazyMap<string, Post>();
  readonly #outlets = new LazyMap<ResumableAnswer, Post>();
  readonly #answers: HttpStreams;
  /** Questions of the server that the client has not answered, by id; the text of those that wait for a way to it. */
  readonly #asked = new LazyMap<string, Text | undefined>();
  readonly readers: Readers;
  readonly #patience: Patience;

  /** `place`: which instance serves it, and what its client declared. */
  constructor(options: HttpFrontOptions, place: Place) {
    this.session = new Session(options, this);
    this.session.begin(place);
    this.#flow = options.flow;
    this.#flow.use(this.session);
    this.#answers = new HttpStreams(this.session, options);
    this.#patience = new Patience(this.#posts, this.#break);
    this.readers = new Readers({
      ...options,
      session: this.session,
      front: this,
      unread: this.#flow.all,
      hasLost: () => this.#answers.hasLost,
      onGone: () => {
        for (const id of this.#asked.keys()) this.#refuse({ id, method: undefined }, HAS_LEFT);
      },
      onParked: (served) => {
        this.#answers.forgetLost();
        options.onParked(served);
      },
      again: () => options.again(this.session.memory.initialize!),
    });
  }

  get #inFlight(): InFlight {
    return this.session.serving!.inFlight;
  }

  /**
   * Hands on what the client posted; the answer goes to the outlet. Where there is none to come, rejects
   * with REQUEST_INVALID for an id in use, UPSTREAM_* for what cannot be handed on.
   */
  async post(
    messages: readonly ClientMessage[],
    headers: readonly string[],
    outlet: ClientOutlet,
    watch?: CallWatch,
  ): Promise<void> {
    this.readers.serve();
    const inFlight = this.#inFlight;
    const own: ResumableAnswer = this.#answers.answerTo(
      idsOf(messages),
      outlet,
      watch?.requestId ?? "",
      () => this.#cancelUnwanted(own, watch),
    );
    this.readers.add(outlet, own);
    const shown = this.session.sleeper.answer(messages);
    if (shown !== undefined) return answerWith(own, shown);
    let post: Post | undefined;
    let isSent = false;
    try {
      await this.session.post({ body: NO_BODY, messages, headers }, watch, (sent) => {
        isSent = true;
        const requests = sent.filter(isRequest);
        if (requests.length > 0) post = this.#expect(requests, own, watch);
      });
    } catch (error) {
      if (!isSent) throw error;
      inFlight.refused(messages);
      // Answered already, or about to be by whoever knows why the server is gone.
      const isAnswered = post !== undefined && this.#outlets.get(own) !== post;
      if (post !== undefined) this.#forget(post);
      // What these cancelled waits for no answer any more, whatever became of the rest.
      for (const message of messages) this.#cancelled(message);
      if (isAnswered) return;
      throw error;
    }
    for (const message of messages) this.#taken(message);
    if (post !== undefined) return this.#askWaiting();
    own.head(202, {}, false);
    own.end();
  }

  /** The server has this message of the client. */
  #taken(message: ClientMessage): void {
    if (message.method === undefined) this.#asked.delete(message.id ?? "");
    else this.#cancelled(message);
  }

  /**
   * A GET of the client: a stream of the session's own, or what it comes back for. Earlier streams stay:
   * two living ones that end each other would come back for ever. Throws METHOD_NOT_ALLOWED where it
   * has had all of that.
   */
  listen(reading: Reading): void {
    const posts = Array.from(this.#outlets.values(), (post) => post.outlet);
    this.readers.add(reading.outlet, this.#answers.read(reading, posts));
    this.#askWaiting();
    this.readers.wake();
  }

  /** The client has left this POST or stream. That cancels nothing (2025-11-25, transports), unless it does not come back. */
  left(outlet: ClientOutlet): void {
    const answer = this.readers.left(outlet);
    // Nearly always the answer has gone out, and nothing of it is left.
    const post = answer && this.#outlets.get(answer);
    // Without an id nobody can come back for it.
    if (post !== undefined && !post.outlet.isNumbered) this.#forget(post);
    else if (answer !== undefined) this.#answers.left(answer);
    if (this.#asked.size > 0 || this.#answers.hasLost) this.readers.await();
  }

  /** Nobody has come back for these answers, as far as they are of the POST with this one. */
  #cancelUnwanted(answer: ResumableAnswer, watch: CallWatch | undefined): void {
    const { serving } = this.session;
    const ids = answer.asked.filter((id) => serving?.inFlight.find(id)?.watch === watch);
    unawaited("session", this.#break, this.readers.cancel(ids));
  }

  /** The client has ended the session, or an admin. */
  close(): void {
    this.#patience.end();
    this.readers.close();
    unawaited("session", () => {}, answerAll(this.#takePosts(), ENDED));
    this.end();
    this.session.close();
    this.#flow.all.close();
    this.#answers.log.close();
  }

  onMessage(raw: Text, about: string | undefined, known?: Message): void {
    const message = known ?? messagesIn(raw)[0];
    if (message === undefined) return;
    const full = this.#flow.all.refusal(raw.length);
    if (full !== undefined) return this.#drop(message, full);
    this.#inFlight.received([message], raw.length);
    if (isResponse(message)) return this.#answer(raw, message.id!);
    if (isRequest(message))
      return this.#asked.size < MAX_QUESTIONS
        ? this.#ask(raw, message)
        : this.#refuse(message, TOO_MANY);
    if (message.method === "notifications/cancelled" && this.#withdraw(raw)) return;
    const post = this.#postOf(raw, message.method, about);
    const stream = this.#answers.open;
    if (post !== undefined && canCarry(post)) this.#onPost(post, raw, message);
    else if (stream !== undefined) emit(this.#flow, stream, raw, message);
    // News of a call is old when a stream comes that could carry it.
    else if (post !== undefined && message.method === "notifications/progress") return;
    else this.#flow.keep(raw);
  }

  /** The server takes a question back. True where the client never heard of it. */
  #withdraw(raw: Text): boolean {
    const id = idAt(raw, ["params", "requestId"]) ?? "";
    const isUnheard = this.#asked.get(id) !== undefined;
    this.#asked.delete(id);
    return isUnheard;
  }

  /** What the server sent finds no room. */
  #drop(message: Message, error: SupervisorError): void {
    if (isResponse(message)) this.onDropped(message.id!, error);
    else if (isRequest(message)) this.#refuse(message, error.message);
    else this.#flow.all.drop();
  }

  /**
   * Puts a question on the session's stream, else on a POST that can carry it. Where none of those
   * that are open can, it is answered in the client's place; where none is, it waits for one.
   */
  #ask(raw: Text, question: Message): void {
    const read = [...this.#outlets.values()].filter(({ outlet }) => outlet.isAttached);
    const [post, stream] = [read.findLast(canCarry), this.#answers.open];
    if (stream !== undefined) emit(this.#flow, stream, raw, question);
    else if (post !== undefined) this.#onPost(post, raw, question);
    else if (read.length > 0) return this.#refuse(question, TAKES_JSON_ALONE);
    else if (isPing(question)) return this.#refuse(question, "");
    else {
      this.#asked.set(question.id!, raw);
      return this.readers.await();
    }
    if (!isPing(question)) this.#asked.set(question.id!, undefined);
  }

  #askWaiting(): void {
    for (const [id, raw] of this.#asked)
      if (raw !== undefined) this.#ask(raw, messagesIn(raw)[0] ?? { id, method: "" });
  }

  /** Answers the server in the client's place; a ping, which asks for the session, well. */
  #refuse(question: Message, message: string): void {
    const id = question.id!;
    this.#asked.delete(id);
    const text = isPing(question) ? pongText(id) : refusalText(id, message);
    const answer = ownMessage(text, id);
    this.#inFlight.sent([answer]);
    this.session.tell(answer);
  }

  /** What the server answered to that request is not passed on: its client is told why. */
  onDropped(id: string, error: SupervisorError): void {
    const watch = this.#inFlight.failed(id);
    watch?.failApart(error);
    this.#answer(Buffer.from(rpcErrorText(error, watch?.requestId ?? "", id)), id);
  }

  interrupt(unanswered: readonly Unanswered[]): TellAll | undefined {
    const failed = takeFrom(this.#posts, unanswered);
    for (const { post } of failed) if (post.waiting.size === 0) this.#forget(post);
    return failed.length === 0 ? undefined : (cause) => answerAll(failed, cause);
  }

  end(): void {
    this.#answers.end();
  }

  /** Something of ours threw between two messages: the session cannot go on. */
  readonly #break = (failure: SupervisorError): void => this.giveUp(failure);

  giveUp(error: SupervisorError): void {
    this.session.giveUp(error);
  }

  #takePosts(): Failed[] {
    return [...this.#outlets.values()].map((post) => {
      const unanswered = [...post.waiting];
      this.#forget(post);
      post.waiting.clear();
      return { post, unanswered };
    });
  }

  #expect(
    requests: readonly ClientMessage[],
    outlet: ResumableAnswer,
    watch: CallWatch | undefined,
  ): Post {
    const post = newPost(requests, outlet, watch);
    this.#patience.begin(this.#answers.patienceMs);
    this.#outlets.set(outlet, post);
    for (const id of post.waiting) this.#posts.set(id, post);
    for (const token of post.progressTokens) this.#byToken.set(token, post);
    return post;
  }

  /** Where what is no answer goes: to the POST that it is known or told to belong to. */
  #postOf(raw: Text, method: string | undefined, about: string | undefined): Post | undefined {
    if (about !== undefined) return this.#posts.get(about);
    if (method !== "notifications/progress") return this.#onlyPost();
    return this.#byToken.get(idAt(raw, ["params", "progressToken"]) ?? "");
  }

  /** A request or notification outside of any call: with one POST open it most likely belongs to that. */
  #onlyPost(): Post | undefined {
    if (this.#answers.open !== undefined || this.#outlets.size !== 1) return undefined;
    const [only] = this.#outlets.values();
    return only;
  }

  #onPost(post: Post, raw: Text, message: Message): void {
    emitOn(post, raw, (text) => this.#flow.emit(post.outlet, text, message));
  }

  #answer(raw: Text, id: string): void {
    const post = this.#posts.get(id);
    if (post === undefined) return;
    this.#posts.delete(id);
    if (post.waiting.size === 1) this.#forget(post);
    const message = { id, method: undefined };
    answerOne(post, raw, id, (text) => this.#flow.emit(post.outlet, text, message));
  }

  /** A cancelled request gets no answer (MCP, cancellation), so nothing keeps its POST open. */
  #cancelled(message: ClientMessage): void {
    if (message.method !== "notifications/cancelled") return;
    const id = cancelledBy(message) ?? "";
    const post = this.#posts.get(id);
    if (post === undefined) return;
    this.#posts.delete(id);
    post.waiting.delete(id);
    if (post.waiting.size > 0) return;
    this.#forget(post);
    endUnanswered(post);
  }

  #forget(post: Post): void {
    this.#outlets.delete(post.outlet);
    for (const id of post.waiting) if (this.#posts.get(id) === post) this.#posts.delete(id);
    for (const token of post.progressTokens)
      if (this.#byToken.get(token) === post) this.#byToken.delete(token);
  }
}
