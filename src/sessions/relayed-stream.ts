import { unawaited } from "../containment.ts";
import { toSupervisorError } from "../errors.ts";
import type { SupervisorError } from "../errors.ts";
import type { ResponseHeaders } from "../links/http1/client.ts";
import type { Message } from "../mcp/envelope.ts";
import { saidIn } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { AnswerTally } from "./answer-tally.ts";
import { beginStream } from "./bridged-answer.ts";
import type { ExchangeOwner, HttpExchange } from "./http-exchange.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";
import type { Way } from "./relaying.ts";
import { LazyMap } from "../platform/lazy.ts";

/** How long it waits before a remote is asked for a stream again that has broken off; the last one again and again. */
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];

export interface RelayedStreamOptions {
  readonly answer: ResumableAnswer;
  /** The client's own that are for the server. */
  readonly headers: readonly string[];
  /** The client has a stream from now on. */
  readonly onBegun: () => void;
  /** It has no more use. */
  readonly onOver: () => void;
}

/**
 * A stream that a client of a relay has opened for what its server says unasked. It is fed by a
 * stream of the server's, of one generation after the other, and stays open between them, and while
 * its client is away.
 */
export class RelayedStream {
  readonly answer: ResumableAnswer;
  /** Ends it for another that takes its place. */
  readonly giveWay = (): void => this.end();
  readonly #headers: readonly string[];
  readonly #onBegun: () => void;
  readonly #onOver: () => void;
  /** The server's streams that feed it: that of the generation that serves, and those of others that drain. */
  readonly #feeds = new LazyMap<Way, Feed>();
  /** The last id of a server's own that came, and by which way. */
  #last: { readonly way: Way; readonly id: string } | undefined;
  #state: "waiting" | "refused" | "open" | "over" = "waiting";
  #isMidEvent = false;
  /** It asks for another one there, once this is over. */
  #again: { readonly way: Way; readonly timer: NodeJS.Timeout } | undefined;
  #tries = 0;

  constructor({ answer, headers, onBegun, onOver }: RelayedStreamOptions) {
    this.answer = answer;
    this.#headers = headers;
    this.#onBegun = onBegun;
    this.#onOver = onOver;
  }

  /** A client may come back for it. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** No server feeds it, nor will by itself. */
  get isDry(): boolean {
    return this.#feeds.size === 0 && this.#again === undefined;
  }

  /** Something of the gateway's own can be said on it. */
  get canCarry(): boolean {
    return this.#state === "open" && !this.#isMidEvent;
  }

  /** Those for the server of that way, with the last id that came from it: what the client has heard of another is nothing to it. */
  headersFor(way: Way): readonly string[] {
    const last = this.#last?.way === way ? ["last-event-id", this.#last.id] : [];
    if (this.#state === "waiting" && last.length === 0) return this.#headers;
    const at = this.#headers.indexOf("last-event-id");
    const headers = at === -1 ? this.#headers : this.#headers.toSpliced(at, 2);
    return [...headers, ...last];
  }

  /** Asks the server for a stream; `askAgainAfter` as an exchange has it. */
  feedFrom(way: Way, askAgainAfter?: (status: number) => number | undefined): void {
    this.#stopWaiting();
    this.#feeds.get(way)?.abort();
    const feed = new Feed(this, way, askAgainAfter);
    this.#feeds.set(way, feed);
    try {
      feed.send();
    } catch (error) {
      this.onOver(way, feed, toSupervisorError(error));
    }
  }

  /** Nothing more comes by this way. */
  ended(way: Way): void {
    if (this.#again?.way === way) this.#stopWaiting();
    const feed = this.#feeds.get(way);
    if (feed === undefined) return;
    this.#feeds.delete(way);
    feed.abort();
    // The rest of the event is lost, and nothing can be said behind half of one, nor of a refusal.
    if (this.#isMidEvent || this.#state === "refused") this.end();
    else this.begin();
  }

  /** It is open from now on, whoever feeds it. */
  begin(): void {
    if (this.#state !== "waiting") return;
    beginStream(this.answer);
    this.#open();
  }

  /** No stream is to feed it any more. */
  end(): void {
    if (this.#state === "over") return;
    this.begin();
    this.close();
    this.answer.end();
  }

  /** Nobody will come back for it. */
  close(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    this.#onOver();
    this.#stopWaiting();
    for (const feed of this.#feeds.values()) feed.abort();
    this.#feeds.clear();
  }

  /** The server has begun to answer. False where nothing of that is for the client. */
  onHead(way: Way, status: number, headers: ResponseHeaders, isStream: boolean): boolean {
    const isOpening = isStream && status < 300;
    // Of a server that has no streams it says nothing about the session.
    if (status === 404 && way.mayForget && way.hasStreamed) {
      this.begin();
      // What is under way is told so itself, as not taken, where it came after that.
      if (way.isBusy) this.#retry(way);
      else way.forgotten();
      return false;
    }
    if (isOpening) way.hasStreamed = true;
    if (this.#state === "open") {
      if (isOpening) this.#tries = 0;
      else this.#feeds.delete(way);
      return isOpening;
    }
    this.answer.head(status, headers, isStream);
    if (isOpening) this.#open();
    else this.#state = "refused";
    return true;
  }

  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean {
    this.#isMidEvent = !isLast;
    return this.answer.part(bytes, isLast, said);
  }

  /** The server has ended the stream that feeds it, or that broke off. */
  onOver(way: Way, feed: Feed, error: SupervisorError | undefined): void {
    const cut = (failure: SupervisorError): void => this.answer.fail(failure, []);
    if (feed.lastId !== undefined) this.#last = { way, id: feed.lastId };
    unawaited("request", cut, this.#decide(way, feed, error));
  }

  async #decide(way: Way, feed: Feed, error: SupervisorError | undefined): Promise<void> {
    // Where it is the end of the generation the next one is to feed it.
    await way.at.live.ending();
    if (this.#state === "over" || this.#feeds.get(way) !== feed) return;
    this.#feeds.delete(way);
    if (this.#state === "open" && !this.#isMidEvent) {
      // Another generation feeds it already.
      if (this.#feeds.size > 0) return;
      if (error !== undefined && way.isRemote && way.mayForget) return this.#retry(way);
      // It wants its client to come back (2025-11-25), and goes on then.
      if (error === undefined && feed.lastId !== undefined) return this.answer.hangUp();
    }
    const hasBegun = this.#state !== "waiting";
    this.close();
    if (error === undefined || hasBegun) this.answer.end();
    else this.answer.fail(error, []);
  }

  #retry(way: Way): void {
    const waitMs = WAITS_MS[Math.min(this.#tries, WAITS_MS.length - 1)];
    this.#tries += 1;
    this.#again = { way, timer: setTimeout(() => this.feedFrom(way), waitMs).unref() };
  }

  #stopWaiting(): void {
    clearTimeout(this.#again?.timer);
    this.#again = undefined;
  }

  #open(): void {
    this.#state = "open";
    this.#onBegun();
  }
}

/** One stream of the server's. */
class Feed implements ExchangeOwner {
  readonly #stream: RelayedStream;
  readonly #way: Way;
  readonly #exchange: HttpExchange;
  readonly #passage: (part: EventPart) => void;
  readonly takesOutIds = true;

  constructor(
    stream: RelayedStream,
    way: Way,
    askAgainAfter?: (status: number) => number | undefined,
  ) {
    this.#stream = stream;
    this.#way = way;
    const tally = new AnswerTally(way.relay.inFlight, [], false);
    const headers = stream.headersFor(way);
    const sent = { method: "GET", headers, body: null, askAgainAfter } as const;
    this.#exchange = way.exchange(sent, this);
    this.#passage = way.at.passage((part) => {
      this.#exchange.pass(part.bytes, part.isLast, saidIn(part));
      tally.part(part);
    });
  }

  get lastId(): string | undefined {
    return this.#exchange.lastId;
  }

  send(): void {
    this.#exchange.send();
  }

  abort(): void {
    this.#exchange.abort();
  }

  onHead(status: number, headers: ResponseHeaders, isStream: boolean): boolean {
    return this.#stream.onHead(this.#way, status, headers, isStream);
  }

  onPart(part: EventPart): void {
    this.#passage(part);
  }

  /** A refusal in words: see `RelayedStream.onHead`. */
  onPiece(): void {}

  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean {
    return this.#stream.part(bytes, isLast, said);
  }

  onceDrained(resume: () => void): void {
    this.#stream.answer.onceDrained(resume);
  }

  onEnd(): void {
    this.#stream.onOver(this.#way, this, undefined);
  }

  onFail(error: SupervisorError): void {
    this.#stream.onOver(this.#way, this, error);
  }
}
