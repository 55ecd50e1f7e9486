import type { SupervisorError } from "../errors.ts";
import type { HttpRequest } from "../links/http1/client.ts";
import type { Attachment } from "./attachment.ts";
import type { ExchangeOwner, HttpExchange } from "./http-exchange.ts";
import type { InFlight } from "./in-flight.ts";
import type { Carried, Post } from "./open-post.ts";

/** What is sent to the server of a session. */
export interface Sent {
  /** The client's own that are for the server, names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  readonly method?: HttpRequest["method"];
  /** See `HttpExchangeOptions`. */
  readonly askAgainAfter?: ((status: number) => number | undefined) | undefined;
}

/** The way of a relay to one generation, for what goes by it. */
export interface Way {
  readonly at: Attachment;
  readonly relay: Relaying;
  readonly isRemote: boolean;
  /** The server may forget the session, and is told of it anew. */
  readonly mayForget: boolean;
  /** The server has the session, and may speak unasked. */
  readonly isOpen: boolean;
  /** It has opened a stream for that. */
  hasStreamed: boolean;
  /** Calls are under way. */
  readonly isBusy: boolean;
  /** An exchange of the session; sends nothing yet. */
  exchange(sent: Sent, owner: ExchangeOwner): HttpExchange;
  /** That one is done. */
  over(carried: Carried): void;
  /** The server knows nothing of the session any more. */
  forgotten(): void;
}

/** The relay of a session, as far as its ways have to know it. */
export interface Relaying {
  readonly inFlight: InFlight;
  /** The client's POST that waits for the answer to this request. */
  postOf(id: string): Post | undefined;
  /** Its answer has ended, and is with the client. */
  done(post: Post): void;
  /** Its answer has broken off; `error` is undefined where the server ended it in good order. */
  brokeOff(post: Post, error: SupervisorError | undefined): void;
  /** Its answer has been given up: what of it the server had answered is all that comes this way. */
  abandoned(post: Post): void;
  /** From now on the server may speak unasked. */
  opened(way: Way): void;
  /** Nothing is heard this way any more. */
  ended(way: Way): void;
}
