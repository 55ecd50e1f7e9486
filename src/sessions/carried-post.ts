import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { PostAnswer, Posting } from "../links/link.ts";
import { ACCEPTED } from "../links/link.ts";
import { idsOf, isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { EVENT_END, saidIn } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { VERSION_HEADER } from "../mcp/headers.ts";
import { AnswerTally } from "./answer-tally.ts";
import { Gathered } from "./gathered.ts";
import type { ExchangeOwner, HttpExchange } from "./http-exchange.ts";
import type { Carried, Post } from "./open-post.ts";
import type { Sent, Way } from "./relaying.ts";

interface Taken {
  resolve(answer: PostAnswer): void;
  reject(error: SupervisorError): void;
}

/** 2025-11-25: whatever began the stream, it goes on over a GET. */
function goingOnAt(lastId: string, headers: readonly string[]): Sent {
  const version = headers.indexOf(VERSION_HEADER);
  const kept = version === -1 ? [] : headers.slice(version, version + 2);
  const own = ["accept", "text/event-stream", "last-event-id", lastId];
  return { method: "GET", headers: [...own, ...kept], body: null };
}

const UNTOLD: Taken = { resolve() {}, reject() {} };

/** A POST with requests on its way through a relay to one generation, and its answer back. */
export class CarriedPost implements ExchangeOwner, Carried {
  isMidEvent = false;
  readonly #way: Way;
  readonly posting: Posting;
  readonly #post: Post;
  readonly #tally: AnswerTally;
  readonly #exchange: HttpExchange;
  #passage: ((part: EventPart) => void) | undefined;
  #taken: Taken = UNTOLD;
  #status = 0;
  #gathered: Gathered | undefined;
  readonly takesOutIds = true;
  /** It goes on with what the server has begun to answer. */
  readonly #goesOn: boolean;

  /** `lastId`: the last of the server's own that came of the answer, which is all that is asked for. */
  constructor(way: Way, posting: Posting, post: Post, lastId?: string) {
    const { inFlight } = way.relay;
    const { messages } = posting;
    this.#goesOn = lastId !== undefined;
    const isNoted =
      inFlight.hasNoted && messages.some(({ id }) => inFlight.find(id ?? "")?.isNoted);
    this.#way = way;
    this.posting = posting;
    this.#post = post;
    this.#tally = new AnswerTally(inFlight, messages, isNoted);
    this.#exchange =
      lastId === undefined
        ? way.exchange({ headers: posting.headers, body: posting.body }, this)
        : way.exchange(goingOnAt(lastId, posting.headers), this);
  }

  /** The way of the events of an answer that is a stream, which few are. */
  #passageOfEvents(): (part: EventPart) => void {
    return this.#way.at.passage((part) => {
      this.#exchange.pass(part.bytes, part.isLast, saidIn(part));
      // With the last answer of one that drains its link may be over.
      this.#tally.part(part);
      // Servers may keep the stream open on which they went on.
      if (this.#goesOn && part.messages.some(isResponse) && !this.#hasOpen()) this.#finish();
    });
  }

  /** The last id of the server's that came, by which it can be asked to go on. */
  get lastId(): string | undefined {
    return this.#exchange.lastId;
  }

  /**
   * Resolves when the server has begun to answer, with what it says where that is a refusal that it
   * may mean for a session that it does not know; that alone goes nowhere else. Rejects as the
   * exchange fails before.
   */
  send(): Promise<PostAnswer> {
    return new Promise((resolve, reject) => {
      this.#taken = { resolve, reject };
      try {
        this.#exchange.send();
      } catch (error) {
        this.#over();
        reject(toSupervisorError(error));
      }
    });
  }

  unsent(): readonly string[] {
    return this.#exchange.isUnsent ? idsOf(this.posting.messages) : [];
  }

  async ending(): Promise<void> {
    await this.#way.at.live.ending();
  }

  abort(): void {
    this.#exchange.abort();
    this.#over();
    this.#taken.resolve(ACCEPTED);
  }

  abandon(error: SupervisorError): void {
    this.#exchange.abort();
    this.#over();
    this.closeEvent();
    this.#taken.reject(error);
    this.#way.relay.abandoned(this.#post);
  }

  closeEvent(): void {
    if (this.isMidEvent) this.part(EVENT_END, true);
  }

  onHead(status: number, headers: ResponseHeaders, isStream: boolean): boolean {
    this.#status = status;
    if (this.#goesOn) return this.#onGoingOn(status, isStream);
    if ((status === 404 || status === 400) && this.#mayBeForgotten()) {
      this.#gathered = new Gathered();
      return this.#gathered.onHead(status, headers);
    }
    this.#post.isStream = isStream;
    this.#post.outlet.head(status, headers, isStream);
    this.#taken.resolve(ACCEPTED);
    return true;
  }

  onPart(part: EventPart): void {
    if (this.#gathered !== undefined) return this.#gathered.onPart(part);
    this.#passage ??= this.#passageOfEvents();
    this.#passage(part);
  }

  onPiece(piece: Buffer): void {
    if (this.#gathered === undefined) this.#tally.piece(piece);
    else this.#gathered.onPiece(piece);
  }

  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean {
    if (this.#gathered !== undefined) return true;
    this.isMidEvent = !isLast;
    return this.#post.outlet.part(bytes, isLast, said);
  }

  onceDrained(resume: () => void): void {
    this.#post.outlet.onceDrained(resume);
  }

  onEnd(): void {
    const { relay, at } = this.#way;
    const { isStream, outlet } = this.#post;
    if (this.#gathered !== undefined) {
      this.#over();
      return this.#taken.resolve(this.#gathered.answer);
    }
    const isRefused = this.#status >= 300;
    if (isStream && !isRefused && this.#hasOpen()) return relay.brokeOff(this.#post, undefined);
    this.#over();
    // Where this throws nothing was answered, and the client is still to be told.
    outlet.end();
    if (isRefused) relay.inFlight.refused(this.posting.messages);
    else if (!isStream) {
      const { body } = this.#tally;
      if (body !== undefined) at.onBody(body);
      this.#tally.answered();
    }
    relay.done(this.#post);
  }

  onFail(error: SupervisorError): void {
    const hasBegun = this.#status !== 0 && this.#gathered === undefined;
    if (hasBegun) return this.#way.relay.brokeOff(this.#post, error);
    this.#over();
    this.#taken.reject(error);
  }

  #onGoingOn(status: number, isStream: boolean): boolean {
    if (isStream && status < 300) return true;
    const error = new SupervisorError(
      "UPSTREAM_RESET",
      "the server does not go on with its answer",
    );
    this.#way.relay.brokeOff(this.#post, error);
    return false;
  }

  #finish(): void {
    this.abort();
    this.#post.outlet.end();
    this.#way.relay.done(this.#post);
  }

  /** Whether the refusal may mean the session, and not what is asked: only what is sent for the first time can tell. */
  #mayBeForgotten(): boolean {
    const { mayForget, relay } = this.#way;
    const requests = this.posting.messages.filter(isRequest);
    return mayForget && requests.every(({ id }) => (relay.inFlight.find(id!)?.sends ?? 1) === 1);
  }

  #hasOpen(): boolean {
    const { inFlight } = this.#way.relay;
    return this.posting.messages.some(({ id }) => inFlight.find(id ?? "") !== undefined);
  }

  #over(): void {
    this.#way.over(this);
  }
}
