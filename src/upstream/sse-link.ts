import { SupervisorError } from "../errors.ts";
import { resolveEndpoint } from "../mcp/endpoint.ts";
import { isEventStream } from "../mcp/headers.ts";
import { SseReader, dataOf } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { Exchange, HttpClient, ResponseHeaders } from "./http-client.ts";
import { redirectTarget } from "./redirect.ts";

/** The answer to a POST says "accepted"; what is longer than this is not read on. */
const MAX_ANSWER_BYTES = 64 * 1024;

export interface SseTarget {
  url: URL;
  /** Headers of the server's recipe, for remotes. */
  headers: Readonly<Record<string, string>>;
}

export interface SseLinkOptions {
  client: HttpClient;
  target: SseTarget;
  /** For a child that takes a message and never answers the POST: some do so for sessions they have lost. */
  postTimeoutMs: number;
  /** Every event but `endpoint`, in order. */
  onPart(part: EventPart): void;
  /** The stream is over: with an error when it broke, without when the server ended it. Called once, only after opening. */
  onClosed(error: SupervisorError | undefined): void;
}

export interface PostAnswer {
  status: number;
  headers: ResponseHeaders;
  body: Buffer;
}

interface Post {
  /** `performance.now()` when it was sent. */
  readonly since: number;
  exchange: Exchange | undefined;
  readonly fail: (error: SupervisorError) => void;
}

const flat = (headers: Readonly<Record<string, string>>): string[] =>
  Object.entries(headers).flat();

/** One session of a server that speaks HTTP with SSE (2024-11-05). */
export class SseLink {
  readonly #options: SseLinkOptions;
  #stream: Exchange | undefined;
  #endpoint: URL | undefined;
  #onEndpoint: ((failure: SupervisorError | undefined) => void) | undefined;
  readonly #posts = new Set<Post>();
  #watch: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: SseLinkOptions) {
    this.#options = options;
  }

  /**
   * Resolves once the server has named its endpoint. Rejects with UPSTREAM_INVALID for an answer that
   * is no event stream or an endpoint on another origin, UPSTREAM_REFUSED or UPSTREAM_RESET for a
   * connection that fails, UPSTREAM_TIMEOUT when no endpoint comes.
   */
  static async open(options: SseLinkOptions): Promise<SseLink> {
    const link = new SseLink(options);
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

  /** Posts one message. Rejects with UPSTREAM_TIMEOUT, UPSTREAM_REFUSED or UPSTREAM_RESET. */
  async post(body: Buffer, headers: string[]): Promise<PostAnswer> {
    const { client, target } = this.#options;
    const endpoint = this.#endpoint!;
    const own = flat(target.headers);
    return await new Promise<PostAnswer>((resolve, reject) => {
      let status = 0;
      let received: ResponseHeaders = {};
      let chunks: Buffer[] = [];
      let size = 0;
      const post: Post = {
        since: performance.now(),
        exchange: undefined,
        fail: (error) => {
          this.#posts.delete(post);
          reject(error);
        },
      };
      const send = (url: URL, redirects: number): void => {
        post.exchange = client.request(
          {
            method: "POST",
            path: url.pathname + url.search,
            headers: own.length === 0 ? headers : [...headers, ...own],
            body,
          },
          {
            head(code, answered) {
              const onward = redirectTarget(code, answered["location"], url, redirects);
              if (onward !== undefined) {
                post.exchange?.abort();
                send(onward, redirects + 1);
                return;
              }
              status = code;
              received = answered;
            },
            data(chunk) {
              size += chunk.length;
              if (size <= MAX_ANSWER_BYTES) chunks.push(chunk);
              else chunks = [];
            },
            end: () => {
              this.#posts.delete(post);
              const whole = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
              resolve({ status, headers: received, body: whole });
            },
            fail: post.fail,
          },
        );
      };
      send(endpoint, 0);
      this.#posts.add(post);
      this.#watch ??= setTimeout(() => this.#failLatePosts(), this.#options.postTimeoutMs);
    });
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  /** Ends the session at the server; `onClosed` is not called. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#watch);
    this.#stream?.abort();
    for (const post of this.#posts) {
      post.exchange?.abort();
      post.fail(
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
      post.exchange?.abort();
      post.fail(
        new SupervisorError(
          "UPSTREAM_TIMEOUT",
          "the server took the message but did not say so in time",
        ),
      );
    }
    const [oldest] = this.#posts;
    if (oldest === undefined) return;
    this.#watch = setTimeout(() => this.#failLatePosts(), oldest.since + postTimeoutMs - now);
  }

  async #open(): Promise<void> {
    const failure = await new Promise<SupervisorError | undefined>((resolve) => {
      this.#onEndpoint = resolve;
      this.#openStream(this.#options.target.url, 0);
    });
    if (failure !== undefined) throw failure;
  }

  #openStream(url: URL, redirects: number): void {
    const { client, target } = this.#options;
    const reader = new SseReader((part) => this.#onPart(part));
    this.#stream = client.request(
      {
        method: "GET",
        path: url.pathname + url.search,
        headers: [
          "accept",
          "text/event-stream",
          "cache-control",
          "no-cache",
          ...flat(target.headers),
        ],
        body: null,
      },
      {
        head: (status, headers) => {
          const onward = redirectTarget(status, headers["location"], url, redirects);
          if (onward !== undefined) {
            this.#stream?.abort();
            this.#openStream(onward, redirects + 1);
            return;
          }
          if (status === 200 && isEventStream(headers["content-type"])) return;
          this.#settle(
            new SupervisorError(
              "UPSTREAM_INVALID",
              `the server answered ${status} instead of opening an event stream`,
            ),
          );
        },
        data: (chunk) => reader.push(chunk),
        end: () => this.#onEnd(undefined),
        fail: (error) => this.#onEnd(error),
      },
    );
  }

  #onPart(part: EventPart): void {
    if (this.#isClosed) return;
    if (part.name !== "endpoint" || !part.isLast) return this.#options.onPart(part);
    try {
      this.#endpoint = resolveEndpoint(dataOf(part.bytes), this.#options.target.url);
      this.#settle(undefined);
    } catch (error) {
      // A later endpoint that is refused must not leave the earlier one in use without a word.
      if (error instanceof SupervisorError && this.#onEndpoint === undefined) this.#onEnd(error);
      else this.#settle(error as SupervisorError);
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
    this.close();
    this.#options.onClosed(error);
  }
}
