import { contained, unawaited } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { SESSION_HEADER, isEventStream, withOwnHeaders } from "../mcp/headers.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { SseReader } from "../mcp/sse.ts";
import type { Live } from "../instances/supervisor.ts";
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
import { explainFailure } from "./exit.ts";
import type { CallWatch } from "./calls.ts";
import type { InFlight } from "./in-flight.ts";

export interface HttpExchangeOptions {
  client: HttpClient;
  live: Live;
  target: HttpTarget;
  method: HttpRequest["method"];
  headers: string[];
  body: Buffer | null;
  messages: readonly ClientMessage[];
  inFlight: InFlight;
  watch: CallWatch;
  outlet: HttpOutlet;
  /** After how many ms the server is to be asked once more in place of passing this status on; undefined: not at all. Only for requests without a body. */
  askAgainAfter?: (status: number) => number | undefined;
}

/** Carries one request to a Streamable HTTP server and its answer back, verbatim. */
export class HttpExchange implements Receiver {
  readonly #options: HttpExchangeOptions;
  #exchange: Exchange | undefined;
  #reader: SseReader | undefined;
  #again: NodeJS.Timeout | undefined;
  #isOver = false;
  #isPaused = false;
  #isRefused = false;

  /** Sends at once; throws UPSTREAM_INVALID for headers that cannot be sent, REQUEST_INVALID for an id that stands twice. */
  constructor(options: HttpExchangeOptions) {
    const { inFlight, messages, watch } = options;
    this.#options = options;
    inFlight.requireFree(messages);
    this.#send();
    inFlight.sent(messages, watch);
  }

  /** The client has left: for 2026-07-28 closing the stream is the cancellation, so the server must see it at once. */
  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#again);
    this.#options.inFlight.drain();
    this.#exchange?.abort();
  }

  /** Nobody waits for the server any more: the client is told why. */
  giveUp(error: SupervisorError): void {
    this.#exchange?.abort();
    if (this.#options.body !== null) return this.#failWith(error);
    // A stream that ends is nobody's failure.
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.outlet.end();
  }

  #send(): void {
    const { client, target, method, headers, body } = this.#options;
    const path = pathOf(target.url);
    const all = withOwnHeaders(headers, target.headers);
    this.#exchange = client.request({ method, path, headers: all, body }, this);
  }

  head(status: number, headers: ResponseHeaders): void {
    if (status === 401) {
      this.#exchange?.abort();
      // Passed on, it would read as "your access key is wrong" and start an OAuth flow against the gateway.
      const why = "the server refused the user's token (401)";
      return this.#failWith(new SupervisorError("UPSTREAM_INVALID", why));
    }
    const waitMs = this.#options.askAgainAfter?.(status);
    if (waitMs !== undefined) {
      this.#exchange?.abort();
      this.#again = setTimeout(() => this.#askAgain(), waitMs);
      return;
    }
    this.#isRefused = status >= 300;
    const isStream = isEventStream(headers["content-type"]);
    if (isStream) {
      this.#reader = new SseReader((part) => {
        const { inFlight } = this.#options;
        if (part.isLast) inFlight.received(part.messages, part.bytes.length);
        else inFlight.saw(part.bytes.length);
        this.#pass(part.bytes, part.isLast);
      });
    }
    this.#options.outlet.head(status, headers, isStream);
  }

  data(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#reader !== undefined) return this.#reader.push(chunk);
    this.#options.inFlight.sawOfBody(chunk);
    this.#pass(chunk, true);
  }

  #askAgain(): void {
    try {
      this.#send();
    } catch (error) {
      this.#failWith(toSupervisorError(error));
    }
  }

  #pass(bytes: Buffer, isLast: boolean): void {
    const { outlet } = this.#options;
    const hasRoom = outlet.part(bytes, isLast);
    // A read that was cut into many events brings many parts after the first one that filled up.
    if (hasRoom || this.#isPaused) return;
    this.#isPaused = true;
    this.#exchange?.pause();
    outlet.onceDrained(() => {
      this.#isPaused = false;
      this.#exchange?.resume();
    });
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    // Where this throws nothing was answered, and the client is still to be told.
    this.#options.outlet.end();
    if (this.#isRefused) this.#options.inFlight.refused(this.#options.messages);
    else if (this.#reader === undefined) this.#options.inFlight.answered();
    else this.#options.inFlight.drain();
  }

  fail(error: SupervisorError): void {
    unawaited("request", (failure) => this.broke(failure), this.#explain(error));
  }

  broke(thrown: unknown): void {
    this.#isOver = true;
    this.#exchange?.abort();
    this.#options.outlet.fail(contained("request", thrown), this.#options.inFlight.drain());
  }

  async #explain(error: SupervisorError): Promise<void> {
    this.#failWith(await explainFailure(error, this.#options.live));
  }

  #failWith(error: SupervisorError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.outlet.fail(error, this.#options.inFlight.drain());
  }
}

/** The session id that the child gave, if it gave one. */
export function sessionIdIn(headers: ResponseHeaders): string | undefined {
  const id = headers[SESSION_HEADER];
  return typeof id === "string" ? id : undefined;
}
