import { contained, guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { resolveEndpoint } from "../mcp/endpoint.ts";
import { idsOf } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { isEventStream, withOwnHeaders } from "../mcp/headers.ts";
import { SseReader, dataOf } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { pathOf } from "./http1/client.ts";
import type {
  Exchange,
  HttpClient,
  HttpRequest,
  Receiver,
  ResponseHeaders,
} from "./http1/client.ts";
import type { Link, PostAnswer, Posting } from "./link.ts";
import { LazySet } from "../platform/lazy.ts";

/** The answer to a POST says "accepted"; what is longer than this is not read on. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** A server that dies has its connections ended one after the other, so much apart on a loaded machine too. */
const VERDICT_MS = 20;
const STREAM_HEADERS = ["accept", "text/event-stream", "cache-control", "no-cache"];
const NO_HEADERS: ResponseHeaders = {};
const NO_BODY = Buffer.alloc(0);

export interface SseTarget {
  url: URL;
  /** Headers of the server's recipe, for remotes. */
  headers: Readonly<Record<string, string>>;
}

export interface SseConnectionOptions {
  client: HttpClient;
  target: SseTarget;
  /** For a child that takes a message and never answers the POST: some do so for sessions they have lost. */
  postTimeoutMs: number;
  /** Events are to be given with their data; see SseReader. */
  wantsData?: boolean;
  /** Every event but `endpoint`, in order. */
  onPart(part: EventPart): void;
  /** The stream is over: with an error when it broke, without when the server ended it. Called once, only after opening. */
  onClosed(error: SupervisorError | undefined): void;
}

/** One session of a server that speaks HTTP with SSE (2024-11-05), as it is on the wire. */
export class SseConnection implements Link, Receiver {
  readonly #options: SseConnectionOptions;
  readonly #reader: SseReader;
  #stream: Exchange | undefined;
  /** Where messages are posted. */
  #path = "";
  #onEndpoint: ((failure: SupervisorError | undefined) => void) | undefined;
  readonly #posts = new LazySet<Post>();
  /** Ids of requests that nobody has read, once the link is over or about to be. */
  #unsent: readonly string[] = [];
  /** The stream is over, and how what was posted ends is not known yet. */
  #ending: { readonly over: () => void; readonly timer: NodeJS.Timeout } | undefined;
  #watch: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: SseConnectionOptions) {
    this.#options = options;
    this.#reader = new SseReader((part) => this.#onPart(part), options.wantsData, true);
  }

  /**
   * Resolves once the server has named its endpoint. Rejects with UPSTREAM_INVALID for an answer that
   * is no event stream or an endpoint on another origin, UPSTREAM_REFUSED or UPSTREAM_RESET for a
   * connection that fails, UPSTREAM_TIMEOUT when no endpoint comes.
   */
  static async open(options: SseConnectionOptions): Promise<SseConnection> {
    const link = new SseConnection(options);
    const timer = setTimeout(
      () =>
        link.#settle(
          new SupervisorError(
            "UPSTREAM_TIMEOUT",
            "the server opened a stream but named no endpoint in time",
          ),
        ),
      options.postTimeoutMs,
    );
    try {
      await link.#open();
    } finally {
      clearTimeout(timer);
    }
    return link;
  }

  /** The body as it is, with what the server says to that. */
  post({ body, headers, messages }: Posting): Promise<PostAnswer> {
    const { client, target, postTimeoutMs } = this.#options;
    if (this.#isClosed)
      return Promise.reject(
        new SupervisorError("UPSTREAM_RESET", "the session with the server is over"),
      );
    const request: HttpRequest = {
      method: "POST",
      path: this.#path,
      headers: withOwnHeaders(headers, target.headers),
      body,
    };
    return new Promise<PostAnswer>((resolve, reject) => {
      const post = new Post({ messages, resolve, reject, link: this });
      post.send(client, request);
      this.#posts.add(post);
      this.#watch ??= this.#failLatePostsIn(postTimeoutMs);
    });
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  unsent(): readonly string[] {
    const waiting = [...this.#posts].filter(({ isUnsent }) => isUnsent);
    return [...this.#unsent, ...waiting.flatMap(({ ids }) => ids)];
  }

  /** To such a server the end of its stream is all that tells of the session's. */
  abandon(): void {
    this.close();
  }

  close(): void {
    this.#unsent = this.unsent();
    this.#isClosed = true;
    clearTimeout(this.#watch);
    clearTimeout(this.#ending?.timer);
    this.#stream?.abort();
    for (const post of this.#posts) {
      post.abort(
        new SupervisorError("UPSTREAM_RESET", "the session ended before the message was taken"),
      );
    }
  }

  /** One timer for all posts of the link: nearly all are answered at once, and a timer each would be wasted. */
  #failLatePosts(): void {
    this.#watch = undefined;
    const { postTimeoutMs } = this.#options;
    const now = performance.now();
    for (const post of this.#posts) {
      if (now - post.since < postTimeoutMs) continue;
      post.abort(
        new SupervisorError(
          "UPSTREAM_TIMEOUT",
          "the server took the message but did not say so in time",
        ),
      );
    }
    const [oldest] = this.#posts;
    if (oldest === undefined) return;
    this.#watch = this.#failLatePostsIn(oldest.since + postTimeoutMs - now);
  }

  #failLatePostsIn(ms: number): NodeJS.Timeout {
    const end = (failure: SupervisorError): void => this.#onEnd(failure);
    return setTimeout(
      guarded("session", end, () => this.#failLatePosts()),
      ms,
    );
  }

  async #open(): Promise<void> {
    const failure = await new Promise<SupervisorError | undefined>((resolve) => {
      this.#onEndpoint = resolve;
      this.#openStream();
    });
    if (failure !== undefined) throw failure;
  }

  #openStream(): void {
    const { client, target } = this.#options;
    const headers = withOwnHeaders(STREAM_HEADERS, target.headers);
    const request = { method: "GET", path: pathOf(target.url), headers, body: null } as const;
    this.#stream = client.request(request, this);
  }

  // For its stream.

  head(status: number, headers: ResponseHeaders): void {
    if (status === 200 && isEventStream(headers["content-type"])) return;
    this.#settle(
      new SupervisorError(
        "UPSTREAM_INVALID",
        `the server answered ${status} instead of opening an event stream`,
      ),
    );
  }

  data(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): void {
    this.#onEnd(undefined);
  }

  fail(error: SupervisorError): void {
    this.#onEnd(error);
  }

  broke(thrown: unknown): void {
    this.#onEnd(contained("session", thrown));
  }

  #onPart(part: EventPart): void {
    if (this.#isClosed) return;
    if (part.name !== "endpoint" || !part.isLast) return this.#options.onPart(part);
    try {
      this.#path = pathOf(resolveEndpoint(dataOf(part.bytes), this.#options.target.url));
      this.#settle(undefined);
    } catch (error) {
      // A later endpoint that is refused must not leave the earlier one in use without a word.
      if (this.#onEndpoint === undefined) this.#onEnd(contained("session", error));
      else this.#settle(contained("session", error));
    }
  }

  #settle(failure: SupervisorError | undefined): void {
    const onEndpoint = this.#onEndpoint;
    if (onEndpoint === undefined) return;
    this.#onEndpoint = undefined;
    // At once: the end of a refusal may be in the same read, and is no end of an open link.
    if (failure !== undefined) this.close();
    onEndpoint(failure);
  }

  #onEnd(error: SupervisorError | undefined): void {
    if (this.#isClosed) return;
    if (this.#onEndpoint !== undefined) {
      this.#settle(
        error ??
          new SupervisorError(
            "UPSTREAM_INVALID",
            "the server ended its stream before it named an endpoint",
          ),
      );
      return;
    }
    if (this.#ending !== undefined) return;
    const over = (): void => {
      if (this.#isClosed) return;
      this.close();
      this.#options.onClosed(error);
    };
    if (this.#posts.size === 0) return over();
    const timer = setTimeout(
      guarded("session", (failure) => this.#options.onClosed(failure), over),
      VERDICT_MS,
    );
    this.#ending = { over, timer };
  }

  /** How a post ended, with an error where the server has not answered, tells whether anybody has read it. */
  over(post: Post, error: SupervisorError | undefined): void {
    this.#posts.delete(post);
    if (this.#ending === undefined || this.#isClosed) return;
    if (error?.code === "UPSTREAM_REFUSED") this.#unsent = [...this.#unsent, ...post.ids];
    if (this.#posts.size === 0) this.#ending.over();
  }
}

interface PostOptions {
  readonly messages: readonly Message[];
  readonly resolve: (answer: PostAnswer) => void;
  readonly reject: (error: SupervisorError) => void;
  readonly link: Pick<SseConnection, "over">;
}

/** One message on its way, until the server has said that it took it. */
class Post implements Receiver {
  /** `performance.now()` when it was sent. */
  readonly since = performance.now();
  readonly #options: PostOptions;
  #exchange: Exchange | undefined;
  #status = 0;
  #headers: ResponseHeaders = NO_HEADERS;
  /** Nearly every answer is one chunk at most. */
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #size = 0;

  constructor(options: PostOptions) {
    this.#options = options;
  }

  /** Of the requests in it. */
  get ids(): readonly string[] {
    return idsOf(this.#options.messages);
  }

  get isUnsent(): boolean {
    return this.#exchange?.isUnsent === true;
  }

  send(client: HttpClient, request: HttpRequest): void {
    this.#exchange = client.request(request, this);
  }

  head(status: number, headers: ResponseHeaders): void {
    this.#status = status;
    this.#headers = headers;
  }

  data(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size > MAX_ANSWER_BYTES) this.#first = this.#more = undefined;
    else if (this.#first === undefined) this.#first = chunk;
    else (this.#more ??= []).push(chunk);
  }

  end(): void {
    const { resolve, link } = this.#options;
    const first = this.#first ?? NO_BODY;
    const body = this.#more === undefined ? first : Buffer.concat([first, ...this.#more]);
    resolve({ status: this.#status, headers: this.#headers, body });
    link.over(this, undefined);
  }

  fail(error: SupervisorError): void {
    const { reject, link } = this.#options;
    reject(error);
    link.over(this, error);
  }

  broke(thrown: unknown): void {
    this.fail(contained("request", thrown));
  }

  abort(error: SupervisorError): void {
    this.#exchange?.abort();
    this.fail(error);
  }
}
