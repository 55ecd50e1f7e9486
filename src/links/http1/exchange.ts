import type { SupervisorError } from "../../errors.ts";
import { isRedirect, redirectTarget } from "./redirect.ts";
import type { ResponseHeaders } from "./response-parser.ts";

export interface Receiver {
  /** Of the answer that redirects have led to; none of them is seen. */
  head(status: number, headers: ResponseHeaders): void;
  data(chunk: Buffer): void;
  end(): void;
  /** The exchange failed: UPSTREAM_REFUSED where nobody has read the request, UPSTREAM_RESET or UPSTREAM_INVALID after (a RedirectRefused among these). Not called after `abort`. */
  fail(error: SupervisorError): void;
  /**
   * Something threw while this receiver was handed a part of the answer, its end among them, or a
   * failure: its owner has to end with `contained(…, thrown)`. The connection is gone, and nothing follows.
   */
  broke(thrown: unknown): void;
}

/** For what is sent though nobody waits for its answer. */
export const UNHEARD: Receiver = { head() {}, data() {}, end() {}, fail() {}, broke() {} };

export interface Exchange {
  /** Nothing of the request has gone out. */
  readonly isUnsent: boolean;
  /** Closes the connection; the receiver hears nothing more. */
  abort(): void;
  pause(): void;
  resume(): void;
}

export interface HttpRequest {
  method: "GET" | "POST" | "DELETE";
  path: string;
  /** Names and values in turn. */
  headers: readonly string[];
  body: Buffer | null;
  /** Told where the server has sent the request instead, each time. */
  onMoved?: (url: URL) => void;
}

/** Of a URL at the client's origin, as `HttpRequest` wants it. */
export const pathOf = ({ pathname, search }: URL): string => pathname + search;

/** The connection that carries a request. */
interface Carrier {
  readonly isUnsent: boolean;
  /** Whether the request on it is this one's. */
  serves(exchange: RedirectedExchange): boolean;
  abort(): void;
  pause(): void;
  resume(): void;
}

/** Sends the request to this path of the origin; what is answered, and how it ends, comes to the exchange's receiver, the head by way of the exchange. */
export type Send = (request: HttpRequest, path: string, exchange: RedirectedExchange) => Carrier;

/**
 * One request, on one connection after the other where it is redirected; once it is over, the
 * connection may be another's and is not touched.
 */
export class RedirectedExchange implements Exchange {
  readonly receiver: Receiver;
  readonly #request: HttpRequest;
  readonly #origin: URL;
  readonly #send: Send;
  #connection: Carrier | undefined;
  #redirects = 0;
  #at: URL | undefined;

  constructor(request: HttpRequest, receiver: Receiver, origin: URL, send: Send) {
    this.receiver = receiver;
    this.#request = request;
    this.#origin = origin;
    this.#send = send;
  }

  get isUnsent(): boolean {
    const connection = this.#connection;
    return this.#redirects === 0 && connection?.serves(this) === true && connection.isUnsent;
  }

  begin(): void {
    this.#connection = this.#send(this.#request, this.#request.path, this);
  }

  /** Another connection carries it than it was sent on. */
  moveTo(connection: Carrier): void {
    this.#connection = connection;
  }

  head(status: number, headers: ResponseHeaders): void {
    if (status < 300 || !isRedirect(status)) return this.receiver.head(status, headers);
    const from = this.#at ?? new URL(this.#origin.origin + this.#request.path);
    const target = redirectTarget(headers["location"], from, this.#redirects);
    this.#redirects += 1;
    this.#at = target;
    this.#request.onMoved?.(target);
    this.#connection?.abort();
    this.#connection = this.#send(this.#request, pathOf(target), this);
  }

  abort(): void {
    if (this.#connection?.serves(this) === true) this.#connection.abort();
  }

  pause(): void {
    if (this.#connection?.serves(this) === true) this.#connection.pause();
  }

  resume(): void {
    if (this.#connection?.serves(this) === true) this.#connection.resume();
  }
}
