import { SupervisorError } from "../errors.ts";
import { contained, guarded } from "../containment.ts";
import { errorHeaders, rpcErrorText, sendError, sendText } from "../http/error-response.ts";
import { SESSION_HEADER, acceptedIn, headersToClient } from "../mcp/headers.ts";
import type { Accepted } from "../mcp/headers.ts";
import { formatEvent } from "../mcp/sse.ts";
import { ONE_WRITE_BYTES } from "../platform/framed-write.ts";
import { answerWith } from "../sessions/bridged-answer.ts";
import type { ClientOutlet } from "../sessions/outlet.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import { ClientStream } from "./client-stream.ts";
import type { Heart } from "./client-stream.ts";
import type { RequestContext } from "./request-context.ts";

export interface HttpAnswerOptions {
  heart: Heart;
  request: RequestContext;
  /** The session id to show to the client, for an answer with this head. */
  sessionHeader(status: number, headers: ResponseHeaders): string | undefined;
}

type State =
  | { readonly kind: "waiting" }
  | {
      readonly kind: "body";
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      held: Buffer | undefined;
      isSent: boolean;
    }
  | { readonly kind: "stream"; readonly stream: ClientStream };

/** The client's side of a Streamable HTTP exchange: a status with a body, or an event stream. */
export class HttpAnswer implements ClientOutlet {
  readonly #options: HttpAnswerOptions;
  #state: State = { kind: "waiting" };

  constructor(options: HttpAnswerOptions) {
    this.#options = options;
  }

  get accepted(): Accepted {
    return acceptedIn(this.#options.request.req.headers.accept);
  }

  head(status: number, received: ResponseHeaders, isStream: boolean): void {
    const { request, heart } = this.#options;
    const passed = headersToClient(received);
    const id = this.#options.sessionHeader(status, received);
    const headers = id === undefined ? passed : { ...passed, [SESSION_HEADER]: id };
    this.#state = isStream
      ? { kind: "stream", stream: new ClientStream(request.res, heart, status, headers) }
      : { kind: "body", status, headers, held: undefined, isSent: false };
  }

  part(bytes: Buffer, isLast: boolean): boolean {
    const { res } = this.#options.request;
    if (this.#state.kind === "stream") return this.#state.stream.part(bytes, isLast);
    if (this.#state.kind === "waiting") return true;
    // The first piece waits for the second: most bodies are one piece, and go out with their length.
    if (this.#state.held === undefined && !this.#state.isSent) {
      this.#state.held = bytes;
      return true;
    }
    this.#sendHead();
    return res.write(bytes);
  }

  event(idLine: string, text: string): boolean {
    return this.#state.kind !== "stream" || this.#state.stream.event(idLine, text);
  }

  get unread(): number {
    if (this.#state.kind === "stream") return this.#state.stream.unread;
    return this.#options.request.res.writableLength;
  }

  /** See `ClientStream.lastMessageAt`. */
  get lastMessageAt(): number | undefined {
    return this.#state.kind === "stream" ? this.#state.stream.lastMessageAt : undefined;
  }

  onceDrained(resume: () => void): void {
    if (this.#state.kind === "stream") this.#state.stream.onceDrained(resume);
    else this.#options.request.res.once("drain", guarded("request", this.#cut, resume));
  }

  end(): void {
    const { res } = this.#options.request;
    if (this.#state.kind === "stream") {
      this.#state.stream.end();
    } else if (this.#state.kind === "body") {
      if (!this.#state.isSent) {
        const { status, headers, held } = this.#state;
        res.writeHead(status, { ...headers, "content-length": held?.length ?? 0 });
        if (held === undefined) res.end();
        else if (held.length > ONE_WRITE_BYTES) res.end(held);
        // As a string the body leaves in one system call with the head; latin1 keeps every byte.
        else res.end(held.toString("latin1"), "latin1");
      } else {
        res.end();
      }
    }
  }

  fail(error: SupervisorError, unanswered: readonly string[]): void {
    try {
      this.#fail(error, unanswered);
    } catch (again) {
      contained("request", again);
      this.#cut();
    }
  }

  /** Nothing more can be said to this client. */
  readonly #cut = (): void => void this.#options.request.res.destroy();

  #fail(error: SupervisorError, unanswered: readonly string[]): void {
    const { request } = this.#options;
    request.trace.fail(error);
    if (this.#state.kind === "stream") {
      for (const id of unanswered)
        this.#state.stream.say(formatEvent("message", rpcErrorText(error, request.requestId, id)));
      this.#state.stream.end();
    } else if (request.req.method === "POST") {
      sendText(
        request.res,
        error.status,
        errorHeaders(error),
        rpcErrorText(error, request.requestId, unanswered[0] ?? "null"),
      );
    } else {
      sendError(request.res, error, request.requestId, "client");
    }
  }

  #sendHead(): void {
    if (this.#state.kind !== "body" || this.#state.isSent) return;
    const { res } = this.#options.request;
    res.writeHead(this.#state.status, this.#state.headers);
    if (this.#state.held !== undefined) res.write(this.#state.held);
    this.#state.held = undefined;
    this.#state.isSent = true;
  }
}

/** Answers a POST with one message that is known already, and the id of the session that it begins, if it does. */
export function answerAtOnce(
  { heart }: Pick<HttpAnswerOptions, "heart">,
  request: RequestContext,
  raw: Buffer,
  sessionId?: string,
): void {
  answerWith(new HttpAnswer({ heart, request, sessionHeader: () => sessionId }), raw);
}
