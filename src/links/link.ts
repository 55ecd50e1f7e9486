import type { SupervisorError } from "../errors.ts";
import type { Askable } from "../mcp/askable.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { ResponseHeaders } from "./http1/client.ts";

/** What a client posted: its bytes, and the messages in them. */
export interface Posting {
  readonly body: Buffer;
  readonly messages: readonly ClientMessage[];
  /** The client's own headers, names and values in turn; a link that carries none leaves them out. */
  readonly headers: readonly string[];
}

/** What a server answered to a POST whose messages' own answers come by `LinkEvents`. */
export interface PostAnswer {
  readonly status: number;
  readonly headers: ResponseHeaders;
  readonly body: Buffer;
}

/**
 * A session's way to one generation of its server, whatever that speaks; in 2026-07-28, which has no
 * sessions, that of one request. It is open from the moment it is there until `close`, `abandon` or
 * `onClosed`, and never leads to another generation.
 */
export interface Link {
  /**
   * Hands on what one POST of the client holds, in order. Resolves when the server has taken it (which
   * says nothing of the answers), with what it said of that; rejects with UPSTREAM_RESET,
   * UPSTREAM_REFUSED, UPSTREAM_TIMEOUT or UPSTREAM_INVALID where it has not.
   */
  post(posting: Posting): Promise<PostAnswer>;
  /** Over Streamable HTTP: the server knows the session by an id. It has answered `initialize`. */
  readonly hasSession?: boolean;
  /** Reads nothing more of the server until `resume`, where it serves this session alone; one that others share (stdio of many sessions, and of 2026-07-28 always) is not kept waiting, nor one that is part of the daemon. */
  pause(): void;
  resume(): void;
  /** The ids (canonical JSON text) of requests that it has taken and of which nothing has gone out: they wait for their turn. */
  unsent(): readonly string[];
  /** Ends the session at the server, and cancels what is under way where it has no session of its own. `onClosed` is not called, and nothing is received any more. */
  close(): void;
  /** As `close`, where the server is gone: it is told nothing, and what it had not taken is rejected with the error. */
  abandon(error: SupervisorError): void;
}

/** Who hears what the server says. */
export interface Listener {
  /** One message of the server. `about` is the id (canonical JSON text) of the client's request that it belongs to, where that is known; `message` what the link has read of it already. */
  onMessage(raw: Text, about: string | undefined, message?: Message): void;
  /** In the place of `onMessage`, for a session that passes the events of an SSE server on as they are: every one but `endpoint`, in pieces. */
  readonly onPart?: (part: EventPart) => void;
  /** The answer to the client's request of that id (canonical JSON text) is not passed on. */
  onDropped(id: string, error: SupervisorError): void;
}

/** What a link has to say to its session. Nothing of it is called after `close` or `abandon`; from within `post` it may be, where the answer is known already. */
export interface LinkEvents {
  /** What the client declared that lets a server ask it. */
  readonly askable: ReadonlySet<Askable>;
  readonly listener: Listener;
  /** The link is over: with an error when it broke, without when the server ended it. Called once. Of a stdio child's end its generation tells; of a modern one this does too, where a request is under way. */
  onClosed(error: SupervisorError | undefined): void;
}

/** What is said of a POST whose messages were taken one by one, as servers say it. */
export const ACCEPTED: PostAnswer = {
  status: 202,
  headers: { "content-type": "text/plain" },
  body: Buffer.from("Accepted"),
};
