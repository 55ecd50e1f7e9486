import { guarded, unawaited } from "../containment.ts";
import { ERROR_CODES, SupervisorError, toSupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idsOf, isPing, isRequest, isResponse } from "../mcp/envelope.ts";
import { pongText } from "../mcp/messages.ts";
import type { Message } from "../mcp/envelope.ts";
import { refused } from "../links/assemble.ts";
import { ACCEPTED } from "../links/link.ts";
import type { PostAnswer, Posting } from "../links/link.ts";
import type { Text } from "../mcp/long-text.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { RPC } from "../mcp/modern.ts";
import { saidIn } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { urlElicitation } from "../mcp/url-elicitation.ts";
import { LEGACY_VERSIONS } from "../mcp/versions.ts";
import { inTurns } from "../platform/in-turns.ts";
import { emitMessage } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import { cancelCalls } from "./cancel-calls.ts";
import type { Front, TellAll } from "./front.ts";
import type { Unanswered } from "./in-flight.ts";
import type { Instance } from "../instances/supervisor.ts";
import type { EventLog } from "./event-log.ts";
import { LateAnswers } from "./late-answers.ts";
import { allNews } from "./news.ts";
import { NumberedStream } from "./numbered-stream.ts";
import type { Outlet } from "./outlet.ts";
import { rejected } from "../platform/rejected.ts";
import { unpassable } from "./passable.ts";
import { Session } from "./session.ts";
import { answerGone, noSession, unknownClient } from "./session-errors.ts";
import type { WrittenMemory } from "./session-memory.ts";
import type { SessionOptions } from "./session-options.ts";
import { park, wake } from "./serve-again.ts";
import type { Place } from "./serving.ts";
import type { Unread } from "./unread.ts";

/** What is known of a session that was there before the daemon was. */
export interface EarlierLife {
  readonly memory: WrittenMemory;
  /** The number of the last event that its client has. */
  readonly n: number;
}

export interface SseFrontOptions extends SessionOptions {
  /** The instance that serves the session, told from its first message. Throws REQUEST_INVALID. */
  readonly choose: (messages: readonly ClientMessage[]) => Place;
  /** Its first stream; of a session of an earlier life the client comes back for it, see `goOn`. */
  readonly from: Outlet | EarlierLife;
  readonly log: EventLog<NumberedStream>;
  /** How long it waits for a client that has lost its stream, with what is under way. */
  readonly resumeWindowMs: number;
  /** The client is away for good, as far as anybody knows, and that instance serves it no more. */
  readonly onParked: (served: Instance | undefined) => void;
  /** The client has lost its stream, and may come back. */
  readonly onAway: () => void;
  /** Nobody can come back to it. */
  readonly onOver: () => void;
  /** The server speaks another transport than this front. */
  readonly isBridged: boolean;
  /** Of the stream's own request. */
  readonly requestId: string;
  /** Counts what waits on the outlet. */
  readonly unread: Unread;
  /** What is known of the session before, of a client that comes back without a word of it; absent where none is written down. */
  readonly recall?: (() => WrittenMemory | undefined) | undefined;
}

/** A session that is on its way to its server at the end of its window is looked at again. */
const PARKS_AGAIN_AFTER_MS = 1_000;

const isDiscovery = (message: ClientMessage): boolean =>
  message.method === "server/discover" && isRequest(message);

const begins = ({ method }: ClientMessage): boolean =>
  method === "initialize" || method === "server/discover";

/**
 * A session's client over HTTP with SSE: all it hears comes on one stream, which it may lose and come
 * back for. Over a server of the same transport the events pass as they are.
 */
export class SseFront implements Front {
  readonly session: Session;
  readonly onPart?: (part: EventPart) => void;
  readonly #options: SseFrontOptions;
  readonly #late = new LateAnswers();
  readonly #stream: NumberedStream;
  /** Runs while the client is away. */
  #window: NodeJS.Timeout | undefined;
  #awaySince: number | undefined;
  #isPaused = false;
  #isClosed = false;
  /** The client has said what the session is about, or that is known from before. */
  #isToldOf = false;

  constructor(options: SseFrontOptions) {
    this.#options = options;
    this.session = new Session(options, this);
    const { log, from } = options;
    const name = this.session.id;
    if ("memory" in from) {
      this.#stream = new NumberedStream({ name, log, n: from.n });
      this.session.memory.recall(from.memory);
      this.#isToldOf = true;
      // Nobody knows what has gone by meanwhile.
      log.hasLost = true;
    } else {
      this.#stream = new NumberedStream({ name, log });
      this.#stream.begin(from);
    }
    options.unread.add(this.#stream);
    if (!options.isBridged) this.onPart = this.#pass;
  }

  /** The id with which a client comes back that has heard nothing yet. */
  get firstId(): string {
    return this.#stream.idOf(0);
  }

  readonly #pass = (part: EventPart): void => {
    const inFlight = this.session.serving?.inFlight;
    if (part.isLast) inFlight?.received(part.messages, part.bytes.length);
    else inFlight?.saw(part.bytes.length);
    const bytes = this.#late.sift(part);
    if (bytes !== undefined && !this.#stream.part(bytes, part.isLast, saidIn(part))) this.#pause();
  };

  /** The client has come back, and has heard what is before that event and the event. */
  goOn(outlet: Outlet, after: number): void {
    clearTimeout(this.#window);
    const { requestId } = this.#options;
    const { instance, memory } = this.session;
    const missed = (id: string): string => rpcErrorText(answerGone(instance.ref), requestId, id);
    memory.keeper?.cameBack();
    this.#stream.goOn(outlet, { after, makeGood: () => allNews(memory), missed });
    wake(this.session, () => this.#options.choose([memory.initialize!]));
  }

  /** The client has lost this stream, or left. */
  left(outlet: Outlet): void {
    if (!this.#stream.leave(outlet)) return;
    const { memory, isLost } = this.session;
    memory.keeper?.left();
    if (isLost || !(memory.isBegun || this.isBusy)) return this.#options.onOver();
    this.#waitFor(this.#options.resumeWindowMs);
    this.#awaySince = performance.now();
    this.#options.onAway();
  }

  /** When (`performance.now()`) the client lost its stream; undefined while it has one. */
  get awaySince(): number | undefined {
    return this.#stream.isAttached ? undefined : this.#awaySince;
  }

  #waitFor(ms: number): void {
    const broke = (failure: SupervisorError): void => this.session.giveUp(failure);
    const wait = guarded("session", broke, () => unawaited("session", broke, this.#abandon()));
    this.#window = setTimeout(wait, ms).unref();
  }

  /** The client did not come back in time. It may yet: what it was about stays, and that its calls were cancelled is in the log. */
  async #abandon(): Promise<void> {
    const { session } = this;
    if (this.#options.isStateful) return this.#options.onOver();
    const ids = session.serving?.inFlight.idsOpen ?? [];
    await cancelCalls(session, this, ids);
    if (this.#stream.isAttached || this.#isClosed || park(session, this.#options.onParked)) return;
    this.#waitFor(Math.max(this.#options.resumeWindowMs, PARKS_AGAIN_AFTER_MS));
  }

  /**
   * Another stream goes on with what this session knew: most likely its client's, which lost this one.
   * Without calls under way nothing is kept for its return, which would be a second child for many.
   */
  makeWay(): void {
    if (this.#stream.isAttached || this.isBusy || this.#options.isStateful) return;
    if (park(this.session, this.#options.onParked)) clearTimeout(this.#window);
  }

  get cutOff(): SupervisorError {
    const { user, server } = this.session.instance.ref;
    const what = `${user}/${server}: the server ended the session before it had answered`;
    return this.#options.isStateful
      ? new SupervisorError("SESSION_LOST", `${what}; connect again`)
      : new SupervisorError("UPSTREAM_RESET", what);
  }

  /**
   * Sends what the client posted to its child, which is started if it is down, and resolves with the
   * child's answer to the POST.
   *
   * Where the child or the machine is to blame for a failure, the requests of the POST are answered
   * with an error on the session's stream, since clients of this transport listen nowhere else, and
   * the POST counts as accepted. Rejects with what is wrong with the POST itself (REQUEST_INVALID for
   * an id in use, SESSION_NOT_FOUND once the session is over), and with any failure of a POST without
   * a request.
   */
  deliver(posting: Posting, watch?: CallWatch): Promise<PostAnswer> {
    try {
      const answer = this.#answer(posting.messages, watch);
      return answer === undefined ? this.#send(posting, watch) : Promise.resolve(answer);
    } catch (error) {
      return rejected(error);
    }
  }

  /** What needs no server; undefined where it is to be asked. */
  #answer(messages: readonly ClientMessage[], watch?: CallWatch): PostAnswer | undefined {
    // Read while the stream ended: it is to begin nothing that nobody would end.
    if (this.#isClosed) throw noSession();
    const { session } = this;
    const discovery = this.#options.isBridged ? messages.find(isDiscovery) : undefined;
    if (discovery !== undefined) return this.#refuseDiscovery(discovery.id!, watch);
    // It asks whether the session is there, with the stream on which it would be answered.
    if (!this.#stream.isAttached && messages.every(isPing)) throw noSession();
    session.lastUsedAt = performance.now();
    if (messages.every(isPing) && !session.hasChild) return this.#answerPings(messages);
    if (!this.#isToldOf && !this.#isAboutOne(messages)) return this.#refuseUnknown(messages, watch);
    const { initialize } = session.memory;
    if (session.serving === undefined)
      session.begin(this.#options.choose(initialize === undefined ? messages : [initialize]));
    const shown = session.sleeper.answer(messages);
    if (shown === undefined) return undefined;
    this.onMessage(shown, undefined);
    return ACCEPTED;
  }

  #send(posting: Posting, watch?: CallWatch): Promise<PostAnswer> {
    const { messages } = posting;
    const { inFlight } = this.session.serving!;
    let isSent = false;
    const onSending = (sent: readonly ClientMessage[]): void => {
      isSent = true;
      this.#late.forget(sent);
    };
    const onFailure = (error: unknown): PostAnswer => {
      // What was sent may have been answered meanwhile, or may be yet: a server may fail after it took a message.
      const unanswered = isSent ? inFlight.refused(messages) : idsOf(messages);
      if (isSent) this.#late.expect(unanswered);
      const failure = toSupervisorError(error);
      const isOurs = ERROR_CODES[failure.code].blames !== "request";
      if (isOurs && messages.some(isRequest) && !this.#isClosed)
        return this.refuse(unanswered, failure, watch);
      throw error;
    };
    const onAnswer = (answer: PostAnswer): PostAnswer => {
      if (answer.status < 300) return answer;
      const fault = unpassable(answer);
      if (fault !== undefined) return onFailure(fault);
      inFlight.refused(messages);
      return answer;
    };
    return this.session.post(posting, watch, onSending).then(onAnswer, onFailure);
  }

  /** Answers requests of a POST (their ids, as JSON text) on the stream with why they get no other answer. */
  refuse(ids: readonly string[], error: SupervisorError, watch?: CallWatch): PostAnswer {
    // What is answered already, or is about to be, has its own reason.
    if (ids.length > 0) watch?.failApart(error);
    const { initialize } = this.session.memory;
    for (const id of ids) this.#answerWith(error, id, watch, urlElicitation(error, [initialize]));
    return ACCEPTED;
  }

  get isHere(): boolean {
    return this.#stream.isAttached;
  }

  get isBusy(): boolean {
    return this.session.inFlight > 0;
  }

  /** Whether the client has said nothing since (`performance.now()`), and waits for nothing. */
  isUnusedSince(at: number): boolean {
    return this.session.lastUsedAt < at && !this.isBusy;
  }

  /** The client has left or may not stay: its link goes too. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#window);
    this.#options.unread.close();
    this.session.close();
    this.#stream.hangUp();
    this.#options.log.close();
  }

  onMessage(raw: Text, _about: string | undefined, known?: Message): void {
    const messages = known === undefined ? messagesIn(raw) : [known];
    if (this.#late.take(messages)) return;
    const full = this.#options.unread.refusal(raw.length);
    if (full !== undefined) return this.#drop(messages, full);
    this.session.serving?.inFlight.received(messages, raw.length);
    if (!emitMessage(this.#stream, raw, messages)) this.#pause();
  }

  onDropped(id: string, error: SupervisorError): void {
    this.#fail({ id, watch: this.session.serving?.inFlight.failed(id) }, error);
  }

  interrupt(unanswered: readonly Unanswered[]): TellAll | undefined {
    if (unanswered.length === 0) return undefined;
    return (cause) => inTurns(unanswered, (one) => this.#fail(one, cause));
  }

  end(): void {
    this.#stream.hangUp();
  }

  /**
   * This transport belongs to 2024-11-05, and a server of a session may end at the question: the
   * answer is ours, and makes a client of both eras go on with `initialize`.
   */
  #refuseDiscovery(id: string, watch: CallWatch | undefined): PostAnswer {
    const error = new SupervisorError(
      "REQUEST_INVALID",
      "this server speaks an earlier revision of MCP: begin with initialize",
    );
    const data = { supported: LEGACY_VERSIONS };
    watch?.failApart(error);
    this.#answerWith(error, id, watch, { code: RPC.unsupportedVersion, data });
    return ACCEPTED;
  }

  /**
   * Whether it is known what the session is about. Clients of all SDKs open another stream where one broke,
   * and go on there as if nothing had been: what their last session knew is taken over, and replayed.
   */
  #isAboutOne(messages: readonly ClientMessage[]): boolean {
    const { recall } = this.#options;
    if (recall === undefined || messages.some(begins)) return (this.#isToldOf = true);
    const known = recall();
    if (known === undefined) return false;
    const { memory } = this.session;
    memory.recall(known);
    memory.keeper?.begun();
    return (this.#isToldOf = true);
  }

  /** Nothing is known of a session before. Throws where nothing in it waits for an answer. */
  #refuseUnknown(messages: readonly ClientMessage[], watch: CallWatch | undefined): PostAnswer {
    const error = unknownClient();
    const requests = messages.filter(isRequest);
    if (requests.length === 0) throw error;
    return this.refuse(idsOf(requests), error, watch);
  }

  /** Clients ask whether the session is there, and it is: no child is started for that. */
  #answerPings(messages: readonly ClientMessage[]): PostAnswer {
    for (const { id } of messages)
      this.#stream.say(Buffer.from(pongText(id!)), { id: id!, method: undefined });
    return ACCEPTED;
  }

  /** What the server sent finds no room. */
  #drop(messages: readonly Message[], error: SupervisorError): void {
    for (const message of messages) {
      const { id } = message;
      if (isResponse(message)) this.onDropped(id!, error);
      else if (isRequest(message)) this.session.tell(refused(id!, error));
      else this.#options.unread.drop();
    }
  }

  #pause(): void {
    // A read that was cut into many events brings many parts after the first one that filled up.
    if (this.#isPaused || this.session.live === undefined) return;
    this.#isPaused = true;
    this.session.pause();
    this.#stream.onceDrained(() => {
      this.#isPaused = false;
      this.session.resume();
    });
  }

  /** Answers a request in the server's place, after its POST was accepted. */
  #fail({ id, watch, mayHaveHappened }: Unanswered, error: SupervisorError): void {
    watch?.failApart(error);
    const data = mayHaveHappened === undefined ? {} : { data: { mayHaveHappened } };
    this.#answerWith(error, id, watch, data);
  }

  #answerWith(
    error: SupervisorError,
    id: string,
    watch: CallWatch | undefined,
    more?: Parameters<typeof rpcErrorText>[3],
  ): void {
    const text = rpcErrorText(error, watch?.requestId ?? this.#options.requestId, id, more);
    this.#stream.say(Buffer.from(text), { id, method: undefined });
  }
}
