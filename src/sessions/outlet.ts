import type { SupervisorError } from "../errors.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Accepted } from "../mcp/headers.ts";

/** The client's open event stream, as far as a session has to know it. */
export interface Outlet {
  /** Bytes that the client has not taken yet. */
  readonly unread: number;
  /** Takes a part of the server's stream; false asks for a pause. */
  part(bytes: Buffer, isLast: boolean): boolean;
  /** Takes a whole event, as latin1, and the line with its id, which goes before it; false asks for a pause. */
  event(idLine: string, text: string): boolean;
  /** Calls back once, when there is room again after a pause was asked for. */
  onceDrained(resume: () => void): void;
  end(): void;
}

/** The client's side of one Streamable HTTP request. Exactly one of `end` and `fail` is called, after which nothing is; but `fail` after an `end` that threw. */
export interface HttpOutlet {
  /** For whoever chooses the form of the answer; a server that is relayed to chooses for itself. */
  readonly accepted: Accepted;
  head(status: number, headers: ResponseHeaders, isStream: boolean): void;
  /** Bytes that the client has not taken yet. */
  readonly unread: number;
  /** Its events have ids of the gateway's. */
  readonly isNumbered?: boolean;
  /** The client may come back for the stream that has begun, and is told so. */
  prime?(): void;
  /** A part of the body; `said` are the messages in an event with data, known with its last part. False asks for a pause. */
  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean;
  /** Calls back once, when there is room again after a pause was asked for. */
  onceDrained(resume: () => void): void;
  end(): void;
  /** `unanswered` are the ids (JSON text) of the requests that will get no answer. */
  fail(error: SupervisorError, unanswered: readonly string[]): void;
}

/** The client's own end of it, which takes events with their ids. */
export interface ClientOutlet extends HttpOutlet, Outlet {
  part(bytes: Buffer, isLast: boolean): boolean;
}
