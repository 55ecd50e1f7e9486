import { SupervisorError } from "../errors.ts";
import type { HttpClient } from "../links/http1/client.ts";
import { HttpLink } from "../links/http-link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "../links/link.ts";
import type { HttpTarget } from "../links/target.ts";
import { isRequest } from "../mcp/envelope.ts";
import { UnderWay } from "../platform/under-way.ts";
import type { Attachment } from "./attachment.ts";
import { CarriedPost } from "./carried-post.ts";
import { Gathered } from "./gathered.ts";
import { HttpExchange } from "./http-exchange.ts";
import type { ExchangeOwner } from "./http-exchange.ts";
import type { Carried, Post } from "./open-post.ts";
import type { Relaying, Sent, Way } from "./relaying.ts";

export interface RelayLinkOptions {
  readonly client: HttpClient;
  readonly target: HttpTarget;
  readonly at: Attachment;
  readonly relay: Relaying;
  /** The server may forget the session, and is told of it anew. */
  readonly mayForget: boolean;
  /** The id that the server has given already. */
  readonly sessionId?: string;
}

/**
 * A session's way to one generation of a Streamable HTTP server, for a client that speaks the same:
 * what it posts is carried over as it is, and the answer back as it comes. What the gateway says
 * itself goes message by message, and so does a request that is sent again once its answer has begun.
 */
export class RelayLink implements Link, Way {
  readonly at: Attachment;
  readonly mayForget: boolean;
  readonly relay: Relaying;
  readonly isRemote: boolean;
  isOpen: boolean;
  hasStreamed = false;
  readonly #options: RelayLinkOptions;
  readonly #events: LinkEvents;
  readonly #own: HttpLink;
  readonly #carried = new UnderWay<Carried>();
  readonly #gathered = new UnderWay<Gathered>();

  constructor(options: RelayLinkOptions, events: LinkEvents) {
    const { client, target, at, relay, mayForget, sessionId } = options;
    this.at = at;
    this.mayForget = mayForget;
    this.relay = relay;
    this.isRemote = target.isRemote;
    this.isOpen = sessionId !== undefined;
    this.#options = options;
    this.#events = events;
    this.#own = new HttpLink({ client, target, isWithoutStream: true, sessionId }, events);
  }

  post(posting: Posting): Promise<PostAnswer> {
    const { messages } = posting;
    const request = messages.find(isRequest);
    if (request === undefined) return this.#tell(posting);
    const post = this.relay.postOf(request.id!);
    const isInPart = post?.isBatch === true && messages.length === 1;
    if (post === undefined || post.isStream || isInPart) return this.#own.post(posting);
    const carried = new CarriedPost(this, posting, post);
    post.carried = carried;
    this.#carried.add(carried);
    return carried.send();
  }

  /** Asks the server to go on with the answer to a POST, behind the last id that came of it. Rejects as an exchange does. */
  async goOn(post: Post, { posting, lastId }: Carried): Promise<void> {
    const carried = new CarriedPost(this, posting, post, lastId);
    post.carried = carried;
    this.#carried.add(carried);
    await carried.send();
  }

  exchange(sent: Sent, owner: ExchangeOwner): HttpExchange {
    const { client, target } = this.#options;
    const { method = "POST", body, askAgainAfter } = sent;
    const headers = this.#own.withSession(sent.headers);
    return new HttpExchange({ client, target, method, headers, body, owner, askAgainAfter });
  }

  get isBusy(): boolean {
    return this.#carried.size > 0;
  }

  over(carried: Carried): void {
    this.#carried.delete(carried);
  }

  forgotten(): void {
    this.#events.onClosed(undefined);
  }

  /** Sends what is no message of a request, and resolves with all that the server says to it. */
  async gather(sent: Sent): Promise<PostAnswer> {
    const gathered = new Gathered();
    this.#gathered.add(gathered);
    try {
      return await gathered.of(this.exchange(sent, gathered));
    } finally {
      this.#gathered.delete(gathered);
    }
  }

  pause(): void {
    this.#own.pause();
  }

  resume(): void {
    this.#own.resume();
  }

  unsent(): readonly string[] {
    const carried = [...this.#carried].flatMap((one) => one.unsent());
    return [...this.#own.unsent(), ...carried];
  }

  close(): void {
    this.#end(new SupervisorError("UPSTREAM_RESET", "the session with the server is over"));
    this.#own.close();
  }

  abandon(error: SupervisorError): void {
    this.#end(error);
    this.#own.abandon(error);
  }

  async #tell(posting: Posting): Promise<PostAnswer> {
    const { headers, body } = posting;
    const answer = await this.gather({ headers, body });
    const isBegun = posting.messages.some(({ method }) => method === "notifications/initialized");
    if (isBegun && !this.isOpen && !this.at.isOver) {
      this.isOpen = true;
      this.relay.opened(this);
    }
    return answer;
  }

  #end(error: SupervisorError): void {
    this.isOpen = false;
    for (const carried of this.#carried) carried.abandon(error);
    for (const gathered of this.#gathered) gathered.abandon(error);
    this.relay.ended(this);
  }
}
