import { toSupervisorError, SupervisorError } from "../errors.ts";
import { unawaited } from "../containment.ts";
import type { Live } from "../instances/supervisor.ts";
import { refused } from "../links/assemble.ts";
import type { LinkEvents, PostAnswer, Posting } from "../links/link.ts";
import { requireHttp } from "../links/target.ts";
import { NOT_ASKABLE } from "../mcp/askable.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idsOf, isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import { messagesIn } from "../mcp/outcome.ts";
import type { Attachment } from "./attachment.ts";
import { answerWith } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import type { Flow } from "./flow.ts";
import type { Front, TellAll } from "./front.ts";
import type { HttpSession } from "./http-sessions.ts";
import type { InFlight, Unanswered } from "./in-flight.ts";
import {
  ENDED,
  answerAll,
  answerOne,
  canCarry,
  emit,
  emitOn,
  endUnanswered,
  newPost,
  takeFrom,
} from "./open-post.ts";
import type { Carried, Post } from "./open-post.ts";
import type { ClientOutlet } from "./outlet.ts";
import { Readers } from "./readers.ts";
import { RelayLink } from "./relay-link.ts";
import type { Relaying, Way } from "./relaying.ts";
import { RelayedStreams } from "./relayed-streams.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";
import type { Reading, ReturnsOptions } from "./returns.ts";
import { ENDED_BY_SERVER, sessionLost } from "./session-errors.ts";
import { Session } from "./session.ts";
import type { SessionOptions } from "./session-options.ts";
import { LazyMap } from "../platform/lazy.ts";

export interface HttpRelayOptions extends Omit<SessionOptions, "connect">, ReturnsOptions {
  readonly flow: Flow;
}

/**
 * A session's client over Streamable HTTP (to 2025-11-25), where its server speaks the same: each
 * request is carried over as it is, under the id that the server gave, and the answer back as it
 * comes. Where the server has ended the session goes on with the next one, under an id of that.
 */
export class HttpRelay implements Front, HttpSession, Relaying {
  readonly kind = "relay";
  readonly session: Session;
  openRequests = 0;
  readonly cutOff = ENDED_BY_SERVER;
  readonly #options: HttpRelayOptions;
  /** Those that wait for an answer: by the ids that they wait for, by where the answer goes. */
  readonly #posts = new LazyMap<string, Post>();
  readonly #outlets = new LazyMap<ResumableAnswer, Post>();
  readonly readers: Readers;
  readonly returns: RelayedStreams;
  #link: RelayLink | undefined;

  /** `live` is the generation that answered `initialize`, with the session id `childId`; without them the session begins while its server sleeps. */
  constructor(options: HttpRelayOptions, live?: Live, childId?: string) {
    const { instance, flow } = options;
    this.#options = options;
    const connect = (next: Live, events: LinkEvents, at: Attachment): RelayLink => {
      if (this.session.memory.initialize === undefined) throw sessionLost(instance.ref);
      return this.#open(next, events, at);
    };
    this.session = new Session({ ...options, connect }, this);
    this.session.begin({ instance, askable: NOT_ASKABLE });
    if (live !== undefined)
      this.session.adopt(live, (at, events) => this.#open(live, events, at, childId));
    flow.use(this.session);
    this.returns = new RelayedStreams(this.session, options);
    this.readers = new Readers({
      ...options,
      session: this.session,
      front: this,
      unread: flow.all,
      hasLost: () => this.returns.hasLost,
      onParked: (served) => {
        this.returns.end();
        options.onParked(served);
      },
      again: () => ({ instance, askable: NOT_ASKABLE }),
    });
  }

  get inFlight(): InFlight {
    return this.session.serving!.inFlight;
  }

  /**
   * Hands on what the client posted; the answer goes to the outlet, as it comes. Where there is none
   * to come, rejects with REQUEST_INVALID for an id in use, with what keeps the server from starting,
   * and with UPSTREAM_* for what cannot be handed on.
   */
  async post(posting: Posting, outlet: ClientOutlet, watch: CallWatch, isLeft: () => boolean) {
    const { messages } = posting;
    this.readers.serve();
    const answer: ResumableAnswer = this.returns.answerTo(
      idsOf(messages),
      outlet,
      watch.requestId,
      () => this.#cancelUnwanted(answer),
    );
    this.readers.add(outlet, answer);
    const shown = this.session.sleeper.answer(messages);
    if (shown !== undefined) return answerWith(answer, shown);
    let post: Post | undefined;
    try {
      const said = await this.session.post(posting, watch, (sent) => {
        if (isLeft()) throw new SupervisorError("SESSION_NOT_FOUND", "the client has left");
        post = this.#expect(sent, answer, watch);
      });
      // What is answered with less than 300 has its answer another way.
      if (post === undefined || said.status >= 300) this.#answer(said, answer, messages);
    } catch (error) {
      if (post === undefined) throw error;
      await this.#fail(post, toSupervisorError(error));
    }
  }

  /**
   * A GET of the client: a stream of the session's own, or what it comes back for. Throws
   * METHOD_NOT_ALLOWED where it has had all of that.
   */
  listen(reading: Reading, headers: readonly string[]): void {
    const posts = [...this.#outlets.keys()];
    const answer = this.returns.read(reading, posts, headers, this.#link);
    this.readers.add(reading.outlet, answer);
    const post = answer && this.#outlets.get(answer);
    if (post?.goOn === undefined) this.readers.wake();
    else post.goOn();
  }

  /** The client has left this POST or stream, and may come back. */
  left(outlet: ClientOutlet): void {
    const answer = this.readers.left(outlet);
    if (answer !== undefined && !this.#outlets.has(answer)) this.returns.left(answer);
    if (this.returns.hasLost) this.readers.await();
  }

  /** Nobody has come back for this answer. */
  #cancelUnwanted(answer: ResumableAnswer): void {
    const post = this.#outlets.get(answer);
    if (post === undefined) return;
    this.#prune(post);
    const told = this.readers.cancel([...post.waiting]);
    unawaited("session", (failure) => this.giveUp(failure), told);
    post.carried?.abort();
    this.#forget(post);
  }

  /** The client ends the session: the server is told as it says, and what that answers is resolved with. */
  async tellEnd(headers: readonly string[]): Promise<PostAnswer> {
    // There is none that knows of it.
    if (this.#link?.isOpen !== true) return { status: 200, headers: {}, body: Buffer.alloc(0) };
    return await this.#link.gather({ method: "DELETE", headers, body: null });
  }

  /** Streams end, and what waits is told so. */
  close(isTold = false): void {
    const posts = [...this.#outlets.values()].map((post) => {
      post.carried?.abort();
      this.#prune(post);
      this.#forget(post);
      const unanswered = [...post.waiting];
      post.waiting.clear();
      return { post, unanswered };
    });
    unawaited("session", () => {}, answerAll(posts, ENDED));
    this.readers.close();
    this.end();
    this.session.close(isTold);
    this.#options.flow.all.close();
    this.#options.log.close();
  }

  giveUp(error: SupervisorError): void {
    this.session.giveUp(error);
  }

  // For its session: what does not pass by itself.

  onMessage(raw: Text, about: string | undefined, known?: Message): void {
    const message = known ?? messagesIn(raw)[0];
    if (message === undefined) return;
    const full = this.#options.flow.all.refusal(raw.length);
    if (full !== undefined) return this.#drop(message, full);
    this.inFlight.received([message], raw.length);
    if (isResponse(message)) return this.#answerOne(raw, message.id!);
    const stream = this.returns.open;
    const post = about === undefined ? this.#openPost() : this.#posts.get(about);
    if (about !== undefined && post !== undefined && canCarry(post))
      emitOn(post, raw, (text) => this.#options.flow.emit(post.outlet, text, message));
    else if (stream !== undefined) emit(this.#options.flow, stream, raw, message);
    else if (post?.isStream === true) emit(this.#options.flow, post.outlet, raw, message);
    else this.#options.flow.keep(raw);
  }

  /** What the server sent finds no room. */
  #drop(message: Message, error: SupervisorError): void {
    if (isResponse(message)) this.onDropped(message.id!, error);
    else if (isRequest(message)) this.session.tell(refused(message.id!, error));
    else this.#options.flow.all.drop();
  }

  onDropped(id: string, error: SupervisorError): void {
    const watch = this.inFlight.failed(id);
    const unanswered: Unanswered = { id, watch };
    const tell = this.interrupt([unanswered]);
    if (tell !== undefined) unawaited("session", (failure) => this.giveUp(failure), tell(error));
  }

  interrupt(unanswered: readonly Unanswered[]): TellAll | undefined {
    const failed = takeFrom(this.#posts, unanswered);
    for (const { post } of failed) if (post.waiting.size === 0) this.#outlets.delete(post.outlet);
    return failed.length === 0 ? undefined : (cause) => answerAll(failed, cause);
  }

  end(): void {
    this.returns.end();
  }

  // For its links.

  postOf(id: string): Post | undefined {
    return this.#posts.get(id);
  }

  done(post: Post): void {
    this.#forget(post);
  }

  brokeOff(post: Post, error: SupervisorError | undefined): void {
    const { carried } = post;
    const work = async (): Promise<void> => {
      // Where the generation has ended that decides what becomes of it.
      await carried?.ending();
      if (post.carried !== carried || this.#outlets.get(post.outlet) !== post) return;
      carried?.abort();
      carried?.closeEvent();
      if (error !== undefined) return await this.#fail(post, error);
      if (post.outlet.isNumbered && carried?.lastId !== undefined)
        return this.#suspend(post, carried);
      this.#forget(post);
      post.outlet.end();
      this.inFlight.drainUnanswered([...post.waiting]);
    };
    unawaited("request", (failure) => post.outlet.fail(failure, [...post.waiting]), work());
  }

  /** The server wants the client to come back for the rest (2025-11-25), and goes on then. */
  #suspend(post: Post, carried: Carried): void {
    const way = this.#link;
    post.carried = undefined;
    post.goOn = (): void => {
      post.goOn = undefined;
      // Of one that has ended it is decided already what becomes of it.
      if (way === undefined || way !== this.#link) return;
      unawaited("request", (error) => void this.#fail(post, error), way.goOn(post, carried));
    };
    post.outlet.hangUp();
  }

  abandoned(post: Post): void {
    post.carried = undefined;
    this.#prune(post);
    if (post.waiting.size > 0) return;
    this.#forget(post);
    endUnanswered(post);
  }

  opened(way: Way): void {
    this.returns.opened(way);
  }

  ended(way: Way): void {
    this.returns.ended(way);
  }

  #open(live: Live, events: LinkEvents, at: Attachment, sessionId?: string): RelayLink {
    const target = requireHttp(live.target);
    const { backends, isStateful } = this.#options;
    const client = backends.clientFor(live, target);
    const mayForget = !isStateful;
    const link = new RelayLink({ client, target, at, relay: this, mayForget, sessionId }, events);
    this.#link = link;
    return link;
  }

  #expect(
    sent: readonly ClientMessage[],
    outlet: ResumableAnswer,
    watch: CallWatch,
  ): Post | undefined {
    const requests = sent.filter(isRequest);
    if (requests.length === 0) return undefined;
    const post = newPost(requests, outlet, watch);
    this.#outlets.set(outlet, post);
    for (const id of post.waiting) this.#posts.set(id, post);
    return post;
  }

  /** The server's whole answer to a POST. */
  #answer(answer: PostAnswer, outlet: ResumableAnswer, messages: readonly ClientMessage[]): void {
    const post = this.#outlets.get(outlet);
    if (post !== undefined) this.#forget(post);
    this.inFlight.refused(messages);
    outlet.head(answer.status, answer.headers, false);
    if (answer.body.length > 0) outlet.part(answer.body, true);
    outlet.end();
  }

  #answerOne(raw: Text, id: string): void {
    const post = this.#posts.get(id);
    if (post === undefined) return;
    this.#posts.delete(id);
    if (post.waiting.size === 1) this.#forget(post);
    const message = { id, method: undefined };
    answerOne(post, raw, id, (text) => this.#options.flow.emit(post.outlet, text, message));
  }

  /** Its server will not answer it, and goes on. */
  async #fail(post: Post, error: SupervisorError): Promise<void> {
    if (this.#outlets.get(post.outlet) !== post) return;
    this.#prune(post);
    const ids = [...post.waiting];
    const isBroken = error.code === "UPSTREAM_RESET" || error.code === "UPSTREAM_REFUSED";
    if (error.code === "UPSTREAM_REFUSED")
      for (const id of ids) this.inFlight.lost(this.inFlight.find(id)!, true);
    const unanswered = this.inFlight.drainUnanswered(ids);
    if (isBroken && ids.length > 0) return await this.interrupt(unanswered)?.(error);
    this.#forget(post);
    post.outlet.fail(error, ids);
  }

  /** What was answered as it passed waits no more. */
  #prune(post: Post): void {
    for (const id of post.waiting) {
      if (this.inFlight.find(id) !== undefined && this.#posts.get(id) === post) continue;
      post.waiting.delete(id);
      if (this.#posts.get(id) === post) this.#posts.delete(id);
    }
  }

  #forget(post: Post): void {
    this.#outlets.delete(post.outlet);
    this.#options.flow.delete(post.outlet);
    for (const id of post.waiting) if (this.#posts.get(id) === post) this.#posts.delete(id);
  }

  /** A POST on which something can be said that belongs to none. */
  #openPost(): Post | undefined {
    return [...this.#outlets.values()].findLast(
      ({ isStream, carried }) => isStream && carried?.isMidEvent !== true,
    );
  }
}
