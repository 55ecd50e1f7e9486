import { SupervisorError } from "../errors.ts";
import { canonicalId, isRequest } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { SESSION_HEADER, isEventStream } from "../mcp/headers.ts";
import { elementsOf, locate, textAt } from "../mcp/json-span.ts";
import { SseReader } from "../mcp/sse.ts";
import type { HttpTarget, Live } from "../supervisor/supervisor.ts";
import type {
  Exchange,
  HttpClient,
  HttpRequest,
  ResponseHeaders,
} from "../upstream/http-client.ts";
import { redirectTarget } from "../upstream/redirect.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";
import { EventAssembler } from "./sse-message-link.ts";

const ACCEPT = ["accept", "application/json, text/event-stream"];
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** A session of a Streamable HTTP server (to 2025-11-25), message by message. */
export class HttpMessageLink implements MessageLink {
  readonly #client: HttpClient;
  readonly #target: HttpTarget;
  readonly #events: MessageLinkEvents;
  readonly #open = new Set<Exchange>();
  #url: URL;
  #redirects = 0;
  #sessionId: string | undefined;
  #version: string | undefined;
  #isClosed = false;

  constructor(client: HttpClient, target: HttpTarget, live: Live, events: MessageLinkEvents) {
    this.#client = client;
    this.#target = target;
    this.#events = events;
    this.#url = target.url;
    void live.exited.then(() => this.#end(undefined));
  }

  /** Resolves when the server has begun to answer: what it answers comes by `onMessage`. */
  async send(raw: Buffer, message: Message): Promise<void> {
    const id = isRequest(message) ? message.id : undefined;
    await new Promise<void>((resolve, reject) => {
      this.#exchange("POST", raw, {
        id,
        isInitialize: message.method === "initialize",
        isAnswered: false,
        accepted: resolve,
        refused: reject,
      });
    });
    // From here on the server may speak unasked.
    if (message.method === "notifications/initialized") this.#listen();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const exchange of this.#open) exchange.abort();
    if (this.#sessionId === undefined) return;
    this.#client.request(this.#request("DELETE", null), {
      head() {},
      data() {},
      end() {},
      fail() {},
    });
  }

  #listen(): void {
    this.#exchange("GET", null, {
      id: undefined,
      isInitialize: false,
      isAnswered: false,
      accepted() {},
      // A server without a stream of its own says 405; a session works without.
      refused() {},
    });
  }

  #exchange(method: "GET" | "POST", body: Buffer | null, post: Post): void {
    const chunks: Buffer[] = [];
    let reader: SseReader | undefined;
    let size = 0;
    const exchange = this.#client.request(this.#request(method, body), {
      head: (status, headers) => {
        if (this.#follow(status, headers, exchange, method, body, post)) return;
        if (status < 200 || status >= 300) {
          this.#open.delete(exchange);
          exchange.abort();
          const what =
            method === "GET" ? "did not open a stream" : `answered the message with ${status}`;
          return post.refused(new SupervisorError("UPSTREAM_INVALID", `the server ${what}`));
        }
        if (post.isInitialize) this.#sessionId = headers[SESSION_HEADER];
        if (isEventStream(headers["content-type"])) {
          const events = new EventAssembler((raw) => this.#receive(raw, post));
          reader = new SseReader((part) => events.push(part));
        }
        post.accepted();
      },
      data: (chunk) => {
        size += chunk.length;
        if (reader !== undefined) reader.push(chunk);
        else if (size <= MAX_BODY_BYTES) chunks.push(chunk);
      },
      end: () => {
        this.#open.delete(exchange);
        if (reader === undefined && size > 0) this.#receive(Buffer.concat(chunks), post);
        if (post.id !== undefined && !post.isAnswered) this.#answerFor(post.id);
      },
      fail: (error) => {
        this.#open.delete(exchange);
        post.refused(error);
        if (method === "POST") this.#end(error);
      },
    });
    this.#open.add(exchange);
  }

  #follow(
    status: number,
    headers: ResponseHeaders,
    exchange: Exchange,
    method: "GET" | "POST",
    body: Buffer | null,
    post: Post,
  ): boolean {
    try {
      const target = redirectTarget(status, headers["location"], this.#url, this.#redirects);
      if (target === undefined) return false;
      this.#redirects += 1;
      this.#url = target;
      this.#open.delete(exchange);
      exchange.abort();
      this.#exchange(method, body, post);
    } catch (error) {
      exchange.abort();
      post.refused(error as SupervisorError);
    }
    return true;
  }

  /** A server may end its stream early (2025-11-25); a client of the bridge has nothing to resume. */
  #answerFor(id: string): void {
    const error = { code: 502, message: "the server ended its answer before it had answered" };
    const text = `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;
    this.#events.onMessage(Buffer.from(text), id);
  }

  #receive(body: Buffer, post: Post): void {
    const { id, isInitialize } = post;
    const spans = elementsOf(body);
    for (const raw of spans?.map(({ start, end }) => body.subarray(start, end)) ?? [body]) {
      const version = isInitialize ? locate(raw, ["result", "protocolVersion"]) : undefined;
      if (version !== undefined) this.#version = JSON.parse(textAt(raw, version)) as string;
      const answered = locate(raw, ["method"]) === undefined ? locate(raw, ["id"]) : undefined;
      if (answered !== undefined && canonicalId(textAt(raw, answered)) === id)
        post.isAnswered = true;
      this.#events.onMessage(raw, id);
    }
  }

  #request(method: HttpRequest["method"], body: Buffer | null): HttpRequest {
    const headers = [...ACCEPT, ...Object.entries(this.#target.headers).flat()];
    if (body !== null) headers.push("content-type", "application/json");
    if (this.#sessionId !== undefined) headers.push(SESSION_HEADER, this.#sessionId);
    if (this.#version !== undefined) headers.push("mcp-protocol-version", this.#version);
    return { method, path: this.#url.pathname + this.#url.search, headers, body };
  }

  #end(error: SupervisorError | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const exchange of this.#open) exchange.abort();
    this.#events.onClosed(error);
  }
}

interface Post {
  /** The request that the answer is about, if it was one. */
  readonly id: string | undefined;
  readonly isInitialize: boolean;
  isAnswered: boolean;
  readonly accepted: () => void;
  readonly refused: (error: SupervisorError) => void;
}
