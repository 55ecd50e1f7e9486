import { contained } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Text } from "../mcp/long-text.ts";
import type { MessageAssembler } from "../mcp/message-assembler.ts";
import { cancelledBy, ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idAt, isForNobody, isRequest } from "../mcp/envelope.ts";
import { errorText } from "../mcp/messages.ts";
import { SESSION_HEADER, VERSION_HEADER, withOwnHeaders } from "../mcp/headers.ts";
import { locate, valueAt } from "../mcp/json-span.ts";
import { UNHEARD, pathOf } from "./http1/client.ts";
import type { Exchange, HttpClient, HttpRequest } from "./http1/client.ts";
import { RedirectRefused } from "./http1/redirect.ts";
import { SessionForgotten } from "./session-forgotten.ts";
import type { HttpTarget } from "./target.ts";
import { readAnswer } from "./answer-body.ts";
import type { AnswerBody } from "./answer-body.ts";
import { assembleFor } from "./assemble.ts";
import { Acceptance } from "./acceptance.ts";
import { ACCEPTED } from "./link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "./link.ts";
import { LazyMap, LazySet } from "../platform/lazy.ts";

const ACCEPT = ["accept", "application/json, text/event-stream"];
const ACCEPT_AND_TYPE = [...ACCEPT, "content-type", "application/json"];
/** What may stand in a header; all revisions are dates. */
const VERSION = /^[\w.-]+$/;
/**
 * By then a server has read a message that it has not begun to answer: one that answers in plain
 * JSON begins when it is done, and a client that posts one message after the other would wait as long.
 */
const SURELY_READ_MS = 250;

export interface HttpLinkOptions {
  readonly client: HttpClient;
  readonly target: HttpTarget;
  /** Without a stream of its own: what the server says unasked is heard elsewhere. */
  readonly isWithoutStream?: boolean;
  /** The id of the session, where that has begun already. */
  readonly sessionId?: string | undefined;
}

/** A session of a Streamable HTTP server (to 2025-11-25), message by message. */
export class HttpLink implements Link {
  readonly #client: HttpClient;
  readonly #target: HttpTarget;
  readonly #isWithoutStream: boolean;
  readonly #events: LinkEvents;
  /** What was sent and is not fully answered, the stream of the GET among it. */
  readonly #posts = new LazySet<Post>();
  /** Those of them that are requests, by id. */
  readonly #requests = new LazyMap<string, Post>();
  /** Ids of requests that were still here when the link was over, or could not be handed on. */
  #unsent: readonly string[] = [];
  #url: URL;
  #sessionId: string | undefined;
  #version: string | undefined;
  /** What `withSession` made, as long as the session has the same id and version. */
  #ofSession = new WeakMap<readonly string[], readonly string[]>();
  #isClosed = false;

  constructor(options: HttpLinkOptions, events: LinkEvents) {
    const { client, target, isWithoutStream = false, sessionId } = options;
    this.#client = client;
    this.#target = target;
    this.#isWithoutStream = isWithoutStream;
    this.#sessionId = sessionId;
    this.#events = events;
    this.#url = target.url;
  }

  /** These headers, names and values in turn, with those by which the server knows the session. */
  withSession(headers: readonly string[]): readonly string[] {
    const known = this.#ofSession.get(headers);
    if (known !== undefined) return known;
    const all = [...headers];
    if (this.#sessionId !== undefined) all.push(SESSION_HEADER, this.#sessionId);
    // Of two versions in a header there is none.
    if (this.#version !== undefined && !headers.includes(VERSION_HEADER))
      all.push(VERSION_HEADER, this.#version);
    this.#ofSession.set(headers, all);
    return all;
  }

  #speak(version: string): void {
    this.#version = version;
    this.#ofSession = new WeakMap();
  }

  #beginSession(id: string | undefined): void {
    this.#sessionId = id;
    this.#ofSession = new WeakMap();
  }

  get hasSession(): boolean {
    return this.#sessionId !== undefined;
  }

  /** In order, each once the server has taken the one before. */
  async post({ messages }: Posting): Promise<PostAnswer> {
    for (const message of messages) if (!isForNobody(message)) await this.#send(message);
    return ACCEPTED;
  }

  /**
   * Resolves when the server has begun to answer, or has had the time to read the message: what it
   * answers comes by `onMessage`, a refusal that comes late too.
   */
  async #send(message: ClientMessage): Promise<void> {
    if (this.#isClosed) throw over();
    const isInitialize = message.method === "initialize";
    const id = isRequest(message) ? message.id : undefined;
    const cancelled =
      message.method === "notifications/cancelled" ? this.#postCancelledBy(message) : undefined;
    // The session's id and version come with the answer to its first message.
    const post = newPost(id, isInitialize, isInitialize ? undefined : SURELY_READ_MS);
    this.#exchange("POST", message.raw, post);
    await post.acceptance.done;
    // Servers leave the stream of a cancelled request open for good.
    cancelled?.exchange?.abort();
    cancelled?.messages?.reset();
    // From here on the server may speak unasked.
    if (message.method === "notifications/initialized" && !this.#isWithoutStream)
      await this.#listen();
  }

  pause(): void {
    for (const { exchange } of this.#posts) exchange?.pause();
  }

  resume(): void {
    for (const { exchange } of this.#posts) exchange?.resume();
  }

  unsent(): readonly string[] {
    const waiting = [...this.#requests].filter(([, { exchange }]) => exchange?.isUnsent === true);
    return [...this.#unsent, ...waiting.map(([id]) => id)];
  }

  close(): void {
    if (this.#isClosed) return;
    this.abandon(over());
    if (this.#sessionId === undefined) return;
    this.#client.request(this.#request("DELETE", null), UNHEARD);
  }

  abandon(error: SupervisorError): void {
    this.#unsent = this.unsent();
    this.#isClosed = true;
    for (const { exchange, messages, acceptance } of this.#posts) {
      exchange?.abort();
      messages?.reset();
      acceptance.refuse(error);
    }
    this.#posts.clear();
    this.#requests.clear();
  }

  /** Resolves when the server has somewhere to say it: what it says before that is lost. */
  async #listen(): Promise<void> {
    const post = newPost(undefined, false, SURELY_READ_MS);
    this.#exchange("GET", null, post);
    // A server without a stream of its own says 405; a session works without.
    await post.acceptance.done.catch(() => {});
  }

  /** Nobody waits for the answer to that request any more. */
  #postCancelledBy(message: ClientMessage): Post | undefined {
    const post = this.#requests.get(cancelledBy(message) ?? "");
    if (post !== undefined) post.isOver = true;
    return post;
  }

  #exchange(method: "GET" | "POST", body: Buffer | null, post: Post): void {
    const messages = assembleFor({
      message: (raw) => this.#receive(raw, post),
      dropped: (id, error) => this.#dropped(id, error, post),
      // A server that does not take it has lost nothing that it could use.
      refuse: (raw, message) =>
        void this.#send(ownMessage(raw.toString(), message.id)).catch(() => {}),
    });
    let answer: AnswerBody | undefined;
    const exchange = this.#client.request(this.#request(method, body), {
      head: (status, headers) => {
        if (status < 200 || status >= 300) {
          exchange.abort();
          return this.#refused(post, this.#refusalFor(method, status));
        }
        if (post.isInitialize) this.#beginSession(headers[SESSION_HEADER]);
        answer = readAnswer(headers, messages);
        post.acceptance.accept();
      },
      data: (chunk) => answer?.push(chunk),
      end: () => {
        this.#over(post);
        answer?.end();
        // A server may end its stream early (2025-11-25); a client of the bridge has nothing to resume.
        this.#answerFor(post, "the server ended its answer before it had answered");
      },
      fail: (error) => {
        this.#over(post);
        messages.reset();
        if (error instanceof RedirectRefused) return this.#refused(post, error);
        post.acceptance.refuse(error);
        if (error.code === "UPSTREAM_REFUSED" && post.id !== undefined)
          this.#unsent = [...this.#unsent, post.id];
        if (method === "POST") this.#end(error);
      },
      broke: (thrown) => this.#end(contained("session", thrown)),
    });
    post.exchange = exchange;
    post.messages = messages;
    this.#posts.add(post);
    if (post.id !== undefined) this.#requests.set(post.id, post);
  }

  #over(post: Post): void {
    this.#posts.delete(post);
    // By now the id may be another request's.
    if (post.id !== undefined && this.#requests.get(post.id) === post)
      this.#requests.delete(post.id);
  }

  #refusalFor(method: HttpRequest["method"], status: number): SupervisorError {
    const what = `the server ${method === "GET" ? "did not open a stream" : `answered the message with ${status}`}`;
    const isOfSession = method === "POST" && this.#sessionId !== undefined;
    if (isOfSession && (status === 404 || status === 400))
      return new SessionForgotten(status, what);
    return new SupervisorError("UPSTREAM_INVALID", what);
  }

  #refused(post: Post, error: SupervisorError): void {
    this.#over(post);
    if (!post.acceptance.refuse(error)) this.#answerFor(post, error.message);
  }

  /** Answers in the server's place, unless it has answered. */
  #answerFor(post: Post, message: string): void {
    if (post.id === undefined || post.isOver) return;
    post.isOver = true;
    const text = errorText(post.id, { code: 502, message });
    this.#events.listener.onMessage(Buffer.from(text), post.id);
  }

  #receive(raw: Text, post: Post): void {
    const { id, isInitialize } = post;
    const version = isInitialize ? locate(raw, ["result", "protocolVersion"]) : undefined;
    const spoken = version && valueAt(raw, version);
    if (typeof spoken === "string" && VERSION.test(spoken)) this.#speak(spoken);
    const isAnswer = locate(raw, ["method"]) === undefined;
    if (id !== undefined && isAnswer && idAt(raw, ["id"]) === id) {
      if (post.isOver) return;
      post.isOver = true;
    }
    this.#events.listener.onMessage(raw, id);
  }

  #dropped(id: string, error: SupervisorError, post: Post): void {
    if (id === post.id) {
      if (post.isOver) return;
      post.isOver = true;
    }
    this.#events.listener.onDropped(id, error);
  }

  #request(method: HttpRequest["method"], body: Buffer | null): HttpRequest {
    const headers = this.withSession(body === null ? ACCEPT : ACCEPT_AND_TYPE);
    return {
      method,
      path: pathOf(this.#url),
      headers: withOwnHeaders(headers, this.#target.headers),
      body,
      onMoved: (url) => (this.#url = url),
    };
  }

  #end(error: SupervisorError): void {
    if (this.#isClosed) return;
    this.abandon(error);
    this.#events.onClosed(error);
  }
}

interface Post {
  /** The request that the answer is about, if it was one. */
  readonly id: string | undefined;
  readonly isInitialize: boolean;
  readonly acceptance: Acceptance;
  exchange: Exchange | undefined;
  /** What has come of its answer and is not whole yet. */
  messages: MessageAssembler | undefined;
  /** Answered or cancelled: no answer is to come. */
  isOver: boolean;
}

function newPost(id: string | undefined, isInitialize: boolean, patienceMs?: number): Post {
  const acceptance = new Acceptance(patienceMs);
  return { id, isInitialize, acceptance, exchange: undefined, messages: undefined, isOver: false };
}

const over = (): SupervisorError =>
  new SupervisorError("UPSTREAM_RESET", "the session with the server is over");
