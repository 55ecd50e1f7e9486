import type { SupervisorError } from "../errors.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { Accepted } from "../mcp/headers.ts";

/** The client's open event stream, as far as a session has to know it. */
export interface Outlet {
  /** Bytes that the client has not taken yet. */
  readonly unread: number;
  /** Takes a part of the server's stream; false asks for a pause. */
  part(bytes: Buffer, isLast: boolean): boolean;
  /** Puts an event of the gateway's own on the stream; ends the stream where an event was cut in the middle. */
  event(text: string): void;
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
  /** A part of the body; false asks for a pause. */
  part(bytes: Buffer, isLast: boolean): boolean;
  /** Calls back once, when there is room again after a pause was asked for. */
  onceDrained(resume: () => void): void;
  end(): void;
  /** `unanswered` are the ids (JSON text) of the requests that will get no answer. */
  fail(error: SupervisorError, unanswered: readonly string[]): void;
}
