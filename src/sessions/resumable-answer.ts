import { guarded } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Accepted } from "../mcp/headers.ts";
import { ownStreamName, postStreamName } from "./event-id.ts";
import type { EventLog } from "./event-log.ts";
import { NumberedStream } from "./numbered-stream.ts";
import type { Return } from "./numbered-stream.ts";
import type { ClientOutlet, HttpOutlet } from "./outlet.ts";

/** What all answers to one client share. */
export interface Resuming {
  /** Undefined for as long as there is no session to come back to. */
  readonly log: EventLog<NumberedStream> | undefined;
  readonly resumeWindowMs: number;
  /** The client knows streams that begin with an id and no data (2025-11-25, transports). */
  readonly isPrimed: boolean;
}

export interface AnswerOptions {
  readonly resuming: Resuming;
  /** Of a POST: its requests' ids (JSON text); undefined for a GET. */
  readonly asked: readonly string[] | undefined;
  /** Of the client's request. */
  readonly requestId: string;
  /** The client has left, and did not come back within resumeWindow, though there is more to come. */
  readonly onGone: () => void;
}

/**
 * The answer to a client's request over Streamable HTTP, to 2025-11-25. Once it is a stream it outlives
 * the connection, and the client may come back for it.
 */
export class ResumableAnswer implements HttpOutlet {
  readonly accepted: Accepted;
  readonly #options: AnswerOptions;
  /** The client's end, while it is there. */
  #outlet: ClientOutlet | undefined;
  #stream: NumberedStream | undefined;
  /** Runs while the client is away. */
  #window: NodeJS.Timeout | undefined;
  #isOver = false;

  /** `stream`: what has gone out already, where it goes on. */
  constructor(options: AnswerOptions, outlet: ClientOutlet, stream?: NumberedStream) {
    this.#options = options;
    this.accepted = outlet.accepted;
    this.#stream = stream;
    if (stream === undefined) this.#outlet = outlet;
  }

  /** Somebody reads it. */
  get isAttached(): boolean {
    return this.#outlet !== undefined;
  }

  /** Its events have ids, by which a client can come back. */
  get isNumbered(): boolean {
    return this.#stream !== undefined;
  }

  /** The ids of its requests, as JSON text. */
  get asked(): readonly string[] {
    return this.#options.asked ?? [];
  }

  /** What its ids begin with. */
  get name(): string | undefined {
    return this.#stream?.name;
  }

  /** Behind what a client goes on that does not say what it has. */
  get sent(): number {
    return this.#stream?.sent ?? 0;
  }

  get unread(): number {
    return this.#stream?.unread ?? this.#outlet?.unread ?? 0;
  }

  isReadBy(outlet: ClientOutlet): boolean {
    return this.#outlet === outlet;
  }

  head(status: number, headers: ResponseHeaders, isStream: boolean): void {
    this.#outlet?.head(status, headers, isStream);
    // Without an id nobody can come back for it.
    if (!isStream || status >= 300 || this.#outlet === undefined) return;
    this.#stream ??= this.#begin();
    this.#stream?.begin(this.#outlet);
  }

  prime(): void {
    if (this.#options.resuming.isPrimed) this.#stream?.prime();
  }

  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean {
    if (this.#stream !== undefined) return this.#stream.part(bytes, isLast, said);
    return this.#outlet?.part(bytes, isLast) ?? true;
  }

  onceDrained(resume: () => void): void {
    const waits = this.#stream ?? this.#outlet;
    if (waits === undefined) resume();
    else waits.onceDrained(resume);
  }

  end(): void {
    this.#over();
    if (this.#stream === undefined) this.#outlet?.end();
    else this.#stream.hangUp();
    this.#outlet = undefined;
  }

  fail(error: SupervisorError, unanswered: readonly string[]): void {
    this.#over();
    const stream = this.#stream;
    for (const id of stream === undefined ? [] : unanswered) {
      const text = rpcErrorText(error, this.#options.requestId, id);
      stream!.say(Buffer.from(text), { id, method: undefined });
    }
    const outlet = this.#outlet;
    this.#outlet = undefined;
    if (outlet === undefined || stream?.leave(outlet) === false) return;
    outlet.fail(error, stream === undefined ? unanswered : []);
  }

  /** The server has ended it before its end, and the client is to come back for the rest. */
  hangUp(): void {
    this.#outlet = undefined;
    this.#stream?.hangUp();
    this.#await();
  }

  /** Whether this was the client's end; if so, nobody reads it from now on. */
  leave(outlet: ClientOutlet): boolean {
    if (this.#outlet !== outlet) return false;
    this.#outlet = undefined;
    this.#stream?.leave(outlet);
    if (!this.#isOver) this.#await();
    return true;
  }

  /** The client goes on here; its answer has no head yet. */
  goOn(outlet: ClientOutlet, back: Omit<Return, "isPrimed">): void {
    clearTimeout(this.#window);
    this.#outlet = outlet;
    this.#stream ??= this.#begin();
    outlet.head(200, { "content-type": "text/event-stream" }, true);
    this.#stream?.goOn(outlet, { ...back, isPrimed: this.#options.resuming.isPrimed });
  }

  /** A stream that has begun here brings what came behind that event, and what waits for one. */
  catchUp(back: Return): void {
    this.#stream?.catchUp(back);
  }

  #begin(): NumberedStream | undefined {
    const { asked, resuming } = this.#options;
    const name = asked === undefined ? ownStreamName() : postStreamName(asked);
    const { log } = resuming;
    const isKept = name !== undefined && log !== undefined;
    return isKept ? new NumberedStream({ name, log, asked }) : undefined;
  }

  #await(): void {
    const { onGone, resuming } = this.#options;
    clearTimeout(this.#window);
    const gone = guarded("session", () => {}, onGone);
    this.#window = setTimeout(gone, resuming.resumeWindowMs).unref();
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#window);
  }
}
