import { guarded, unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Follower, Instance, Live } from "../instances/supervisor.ts";
import type { HttpRequest, ResponseHeaders } from "../links/http1/client.ts";
import { requireHttp } from "../links/target.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idsOf } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { EVENT_END, dataOf, saidIn } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { messagesIn } from "../mcp/outcome.ts";
import type { Survival } from "../telemetry/survival.ts";
import { AnswerTally } from "./answer-tally.ts";
import { emitMessage } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import { explainFailure, reasonIn } from "./exit.ts";
import type { Backends } from "./backends.ts";
import { HttpExchange } from "./http-exchange.ts";
import type { ExchangeOwner } from "./http-exchange.ts";
import { InFlight, NOT_COUNTED } from "./in-flight.ts";
import type { Carrier, Open, Unanswered } from "./in-flight.ts";
import type { HttpOutlet } from "./outlet.ts";
import { isSentAgain } from "./resend.ts";
import type { Resend } from "./resend.ts";

/** 2026-07-28: a request whose answer is news until somebody ends it, and what it begins with. */
const LISTEN = "subscriptions/listen";
const LISTENING = "notifications/subscriptions/acknowledged";

export interface LoneRequest {
  readonly method: HttpRequest["method"];
  /** The client's own that are for the server, names and values in turn. */
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  readonly messages: readonly ClientMessage[];
  readonly watch: CallWatch;
  readonly outlet: HttpOutlet;
  /** Who wants to read the answer to the client's `initialize`. */
  readonly onInitialized: (initialize: ClientMessage, answer: Buffer) => void;
}

export interface LonePostOptions extends LoneRequest {
  readonly instance: Instance;
  readonly backends: Backends;
  readonly resend: Resend;
  readonly survival: Survival | undefined;
}

/**
 * One request of a client to a server that speaks Streamable HTTP itself, which belongs to no session:
 * of a server without sessions, of 2026-07-28, or the one that begins a session. Where its child ends
 * before it has answered, the request is sent to the next one, or answered with an error, by the rules
 * for those of sessions. Who listens is moved to the next one as soon as that is there.
 */
export class LonePost implements ExchangeOwner, Follower {
  readonly #options: LonePostOptions;
  readonly #inFlight: InFlight;
  readonly #initialize: ClientMessage | undefined;
  readonly #isListening: boolean;
  /** The generation that has it now. */
  live: Live;
  #tally!: AnswerTally;
  #exchange!: HttpExchange;
  #sends = 0;
  #status = 0;
  #isStream = false;
  /** The client has the head of a stream, and hears the rest of the answer there. */
  #hasStream = false;
  #isMidEvent = false;
  #isOver = false;

  /** Sends at once; throws UPSTREAM_INVALID for headers that cannot be sent, REQUEST_INVALID for an id that stands twice. */
  constructor(options: LonePostOptions, live: Live) {
    const { instance, messages, watch, headers } = options;
    this.#options = options;
    this.live = live;
    this.#inFlight = new InFlight(instance.usage);
    this.#initialize = messages.find(({ method }) => method === "initialize");
    this.#isListening = messages.some(({ method }) => method === LISTEN);
    this.#inFlight.requireFree(messages);
    this.#send();
    this.#inFlight.sent(messages, watch, this.#carrier, headers);
    if (this.#isListening) instance.usage.followers.add(this);
  }

  /** The client has left: for 2026-07-28 closing the stream is the cancellation, so the server must see it at once. */
  abort(): void {
    if (this.#isOver) return;
    this.#end();
    this.#exchange.abort();
    this.#inFlight.drain();
  }

  /** Nobody waits for the server any more: the client is told why. */
  giveUp(error: SupervisorError): void {
    if (this.#isOver) return;
    this.#exchange.abort();
    this.#end();
    // A stream that ends is nobody's failure.
    if (this.#options.body === null) return this.#options.outlet.end();
    const unanswered = this.#inFlight.drainUnanswered();
    const mayHaveHappened = unanswered.some((one) => one.mayHaveHappened);
    this.#tell(error.withData({ mayHaveHappened }), unanswered);
  }

  /** For the instance: the next generation is ready. */
  follow(live: Live): void {
    if (this.#isOver || this.live === live || this.#hasBegunBody) return;
    const move = (): void => {
      this.#exchange.abort();
      const open = this.#open();
      for (const one of open) this.#inFlight.await(one);
      this.#sendTo(live, open);
    };
    guarded("request", (failure) => this.#failWith(failure), move)();
  }

  get takesOutIds(): boolean {
    return this.#options.outlet.isNumbered === true;
  }

  onHead(status: number, headers: ResponseHeaders, isStream: boolean): boolean {
    this.#status = status;
    this.#isStream = isStream;
    if (!this.#hasStream) {
      this.#hasStream = isStream && status < 300;
      this.#options.outlet.head(status, headers, isStream);
    } else if (status >= 300) {
      const what = `the server answered the message with ${status}`;
      this.#failWith(new SupervisorError("UPSTREAM_INVALID", what));
      return false;
    }
    return true;
  }

  onPart(part: EventPart): void {
    const { messages, bytes, isLast } = part;
    if (this.#sends > 1 && messages.some(({ method }) => method === LISTENING)) return;
    const id = this.#initialize?.id;
    if (id !== undefined && messages.some((message) => message.id === id && !message.method))
      this.#options.onInitialized(this.#initialize!, Buffer.from(dataOf(bytes)));
    this.#exchange.pass(bytes, isLast, saidIn(part));
    this.#tally.part(part);
  }

  onPiece(piece: Buffer): void {
    this.#tally.piece(piece);
  }

  part(bytes: Buffer, isLast: boolean, said?: readonly Message[]): boolean {
    // What is no stream goes on one as a whole.
    if (this.#hasStream && !this.#isStream) return true;
    this.#isMidEvent = this.#isStream && !isLast;
    return this.#options.outlet.part(bytes, isLast, said);
  }

  onceDrained(resume: () => void): void {
    this.#options.outlet.onceDrained(resume);
  }

  onEnd(): void {
    if (this.#isOver) return;
    const { outlet, messages } = this.#options;
    const isRefused = this.#status >= 300;
    if (this.#isStream && !isRefused && this.#inFlight.size > 0) return this.#cut(undefined);
    this.#end();
    const isBody = !this.#isStream && !isRefused;
    const body = isBody ? this.#tally.body : undefined;
    if (body !== undefined && this.#initialize !== undefined)
      this.#options.onInitialized(this.#initialize, body);
    if (body !== undefined && this.#hasStream) emitMessage(outlet, body, messagesIn(body));
    // Where this throws nothing was answered, and the client is still to be told.
    outlet.end();
    if (isRefused) this.#inFlight.refused(messages);
    else if (isBody) this.#tally.answered();
    else this.#inFlight.drain();
  }

  onFail(error: SupervisorError): void {
    // Of ours, after its end: the client may not have it.
    if (this.#isOver) return this.#options.outlet.fail(error, this.#inFlight.drain());
    this.#cut(error);
  }

  /** What the client has of the answer is no stream on which another could follow. */
  get #hasBegunBody(): boolean {
    return this.#status !== 0 && !this.#hasStream;
  }

  get #carrier(): Carrier {
    return this.#isListening ? NOT_COUNTED : this.live.work;
  }

  /** Nothing more is sent. */
  #end(): void {
    this.#isOver = true;
    this.#options.instance.usage.followers.delete(this);
  }

  #send(): void {
    const { backends, messages, method, headers, body } = this.#options;
    // A silent end would leave the client waiting.
    const target = requireHttp(this.live.target);
    const client = backends.clientFor(this.live, target);
    const wantsBody = this.#initialize !== undefined || this.#hasStream;
    this.#tally = new AnswerTally(this.#inFlight, messages, wantsBody);
    this.#exchange = new HttpExchange({ client, target, method, headers, body, owner: this });
    this.#status = 0;
    this.#sends += 1;
    this.#exchange.send();
  }

  /** The server has left it without a whole answer; `error` is undefined where it ended a stream in good order. */
  #cut(error: SupervisorError | undefined): void {
    const broke = (failure: SupervisorError): void => this.#failWith(failure);
    unawaited("request", broke, this.#decide(error));
  }

  async #decide(told: SupervisorError | undefined): Promise<void> {
    const live = this.live;
    const ended = await live.ending();
    const isGone = ended !== undefined;
    const broken = told ?? new SupervisorError("UPSTREAM_RESET", "the server ended its answer");
    const explained = explainFailure(broken, live);
    const failure = await explained;
    if (this.#isOver || this.live !== live) return;
    // What has gone out of an event is no message that a client could read, but behind it another can follow.
    if (this.#isMidEvent) this.part(EVENT_END, true);
    if (!isGone && told === undefined) {
      this.#end();
      this.#options.outlet.end();
      this.#inFlight.drain();
      return;
    }
    const { code } = broken;
    const isUnread = code === "UPSTREAM_REFUSED";
    const open = this.#open();
    for (const one of open) this.#inFlight.lost(one, isUnread);
    if (isGone && this.#mayGoOn(open, isUnread)) {
      for (const one of open) this.#inFlight.await(one);
      // What somebody has stopped is not started for who listens.
      if (this.#isListening && ended.byItself !== true) return;
      return await this.#sendAgain(open);
    }
    const isBroken = code === "UPSTREAM_RESET" || code === "UPSTREAM_REFUSED";
    const { length } = open;
    if (isGone && length > 0) this.#options.survival?.onLost(live.ref, length, reasonIn(failure));
    const isTold = isBroken && length > 0;
    const mayHaveHappened = open.some((one) => one.mayHaveHappened);
    const full = isTold ? failure.withData({ mayHaveHappened }) : failure;
    this.#failWith(full, isGone ? explained.then(reasonIn) : undefined);
  }

  /** Whether all of it may be sent again, and an answer still has somewhere to go. */
  #mayGoOn(open: readonly Open[], isUnread: boolean): boolean {
    const { messages, resend } = this.#options;
    // A part of a batch that is answered would be asked for anew.
    const isWhole = open.length > 0 && open.length === idsOf(messages).length;
    if (!isWhole || this.#hasBegunBody) return false;
    const rule = { wasHanded: !isUnread, resend };
    return open.every((one) => one.method === LISTEN || isSentAgain(one, rule));
  }

  /** What of it is not answered. */
  #open(): Open[] {
    return idsOf(this.#options.messages).flatMap((id) => this.#inFlight.find(id) ?? []);
  }

  async #sendAgain(open: readonly Open[]): Promise<void> {
    const live = await this.#options.instance.ensure();
    if (this.#isOver || this.live === live) return;
    if (!this.#isListening) this.#options.survival?.onResent(live.ref, open.length);
    this.#sendTo(live, open);
  }

  #sendTo(live: Live, open: readonly Open[]): void {
    if (this.#isMidEvent) this.part(EVENT_END, true);
    this.live = live;
    this.#send();
    for (const one of open) this.#inFlight.sentAgain(one, this.#carrier);
  }

  /** `why` the child ended, where it did. */
  #failWith(error: SupervisorError, why?: Promise<string>): void {
    if (this.#isOver) return;
    this.#end();
    this.#tell(error, this.#inFlight.drainUnanswered(undefined, why));
  }

  #tell(error: SupervisorError, unanswered: readonly Unanswered[]): void {
    const ids = unanswered.map(({ id }) => id);
    this.#options.outlet.fail(error, ids);
  }
}
