import { contained } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { SESSION_HEADER, isEventStream, withOwnHeaders } from "../mcp/headers.ts";
import type { Message } from "../mcp/envelope.ts";
import { SseReader } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { pathOf } from "../links/http1/client.ts";
import type {
  Exchange,
  HttpClient,
  HttpRequest,
  Receiver,
  ResponseHeaders,
} from "../links/http1/client.ts";
import type { HttpTarget } from "../links/target.ts";
import type { HttpOutlet } from "./outlet.ts";

/** Whose request it is: it passes the answer on, and knows what becomes of one that breaks off. */
export interface ExchangeOwner extends Pick<HttpOutlet, "part" | "onceDrained"> {
  /** The server has begun to answer. False: the answer is of no use, and the exchange is over. */
  onHead(status: number, headers: ResponseHeaders, isStream: boolean): boolean;
  /** What goes out has ids of the gateway's own, so the server's are taken out; known once it has begun to answer. */
  readonly takesOutIds?: boolean;
  /** A part of an event stream, to be handed to `HttpExchange.pass` as it is to go out. */
  onPart(part: EventPart): void;
  /** A piece of another body; it goes out as it is. */
  onPiece(piece: Buffer): void;
  /** The answer has ended in good order. */
  onEnd(): void;
  /** It has not, or never began. */
  onFail(error: SupervisorError): void;
}

export interface HttpExchangeOptions {
  client: HttpClient;
  target: HttpTarget;
  method: HttpRequest["method"];
  headers: readonly string[];
  body: Buffer | null;
  owner: ExchangeOwner;
  /** After how many ms the server is to be asked once more in place of passing this status on; undefined: not at all. Only for requests without a body. */
  askAgainAfter?: ((status: number) => number | undefined) | undefined;
}

/** Carries one request to a Streamable HTTP server and its answer back, verbatim. */
export class HttpExchange implements Receiver {
  readonly #options: HttpExchangeOptions;
  #exchange: Exchange | undefined;
  #reader: SseReader | undefined;
  #again: NodeJS.Timeout | undefined;
  #isOver = false;
  #isPaused = false;

  constructor(options: HttpExchangeOptions) {
    this.#options = options;
  }

  /** Nothing of it has reached the server. */
  get isUnsent(): boolean {
    return this.#exchange?.isUnsent === true;
  }

  /** Throws UPSTREAM_INVALID for headers that cannot be sent. */
  send(): void {
    const { client, target, method, headers, body } = this.#options;
    const path = pathOf(target.url);
    const all = withOwnHeaders(headers, target.headers);
    this.#exchange = client.request({ method, path, headers: all, body }, this);
  }

  /** Nobody waits for it any more: its owner hears nothing of it. For 2026-07-28 closing the stream is the cancellation, so the server must see it at once. */
  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#again);
    this.#exchange?.abort();
  }

  /** The last id of the server's events, of those that are taken out. */
  get lastId(): string | undefined {
    return this.#reader?.lastId;
  }

  /** Passes a part of the answer on; the server waits where the client has no room. */
  pass(bytes: Buffer, isLast: boolean, said?: readonly Message[]): void {
    const { owner } = this.#options;
    const hasRoom = owner.part(bytes, isLast, said);
    // A read that was cut into many events brings many parts after the first one that filled up.
    if (hasRoom || this.#isPaused) return;
    this.#isPaused = true;
    this.#exchange?.pause();
    owner.onceDrained(() => {
      this.#isPaused = false;
      this.#exchange?.resume();
    });
  }

  head(status: number, headers: ResponseHeaders): void {
    const { owner, askAgainAfter } = this.#options;
    if (status === 401) {
      this.#exchange?.abort();
      // Passed on, it would read as "your access key is wrong" and start an OAuth flow against the gateway.
      const why = "the server refused the user's token (401)";
      return this.fail(new SupervisorError("UPSTREAM_INVALID", why));
    }
    const waitMs = askAgainAfter?.(status);
    if (waitMs !== undefined) {
      this.#exchange?.abort();
      this.#again = setTimeout(() => this.#askAgain(), waitMs);
      return;
    }
    const isStream = isEventStream(headers["content-type"]);
    if (!owner.onHead(status, headers, isStream)) return this.abort();
    const takesOutIds = owner.takesOutIds === true;
    if (isStream) this.#reader = new SseReader((part) => this.#onPart(part), false, takesOutIds);
  }

  data(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#reader !== undefined) return this.#reader.push(chunk);
    this.#options.owner.onPiece(chunk);
    this.pass(chunk, true);
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.owner.onEnd();
  }

  fail(error: SupervisorError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.owner.onFail(error);
  }

  broke(thrown: unknown): void {
    this.#isOver = true;
    this.#exchange?.abort();
    this.#options.owner.onFail(contained("request", thrown));
  }

  /** What else was in the same read, when its owner had done with it, goes nowhere. */
  #onPart(part: EventPart): void {
    if (!this.#isOver) this.#options.owner.onPart(part);
  }

  #askAgain(): void {
    try {
      this.send();
    } catch (error) {
      this.fail(toSupervisorError(error));
    }
  }
}

/** The session id that the child gave, if it gave one. */
export function sessionIdIn(headers: ResponseHeaders): string | undefined {
  const id = headers[SESSION_HEADER];
  return typeof id === "string" ? id : undefined;
}
