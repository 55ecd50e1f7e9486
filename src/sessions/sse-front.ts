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
import { formatEvent } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { urlElicitation } from "../mcp/url-elicitation.ts";
import { LEGACY_VERSIONS } from "../mcp/versions.ts";
import { inTurns } from "../platform/in-turns.ts";
import { emitMessage } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import type { Front, TellAll } from "./front.ts";
import type { Unanswered } from "./in-flight.ts";
import { LateAnswers } from "./late-answers.ts";
import type { Outlet } from "./outlet.ts";
import { requirePassable } from "./passable.ts";
import { Session } from "./session.ts";
import { noSession } from "./session-errors.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Place } from "./serving.ts";
import type { Unread } from "./unread.ts";

export interface SseFrontOptions extends SessionOptions {
  /** The instance that serves the session, told from its first message. Throws REQUEST_INVALID. */
  readonly choose: (messages: readonly ClientMessage[]) => Place;
  readonly outlet: Outlet;
  /** The server speaks another transport than this front. */
  readonly isBridged: boolean;
  /** Of the stream's own request. */
  readonly requestId: string;
  /** Counts what waits on the outlet. */
  readonly unread: Unread;
}

const isDiscovery = (message: ClientMessage): boolean =>
  message.method === "server/discover" && isRequest(message);

/**
 * A session's client over HTTP with SSE: all it hears comes on one stream, with which the session
 * begins and ends. Over a server of the same transport the events pass as they are.
 */
export class SseFront implements Front {
  readonly session: Session;
  readonly onPart?: (part: EventPart) => void;
  readonly #options: SseFrontOptions;
  readonly #late = new LateAnswers();
  #isPaused = false;
  #isClosed = false;

  constructor(options: SseFrontOptions) {
    this.#options = options;
    this.session = new Session(options, this);
    if (!options.isBridged) this.onPart = this.#pass;
  }

  readonly #pass = (part: EventPart): void => {
    const inFlight = this.session.serving?.inFlight;
    if (part.isLast) inFlight?.received(part.messages, part.bytes.length);
    else inFlight?.saw(part.bytes.length);
    const bytes = this.#late.sift(part);
    if (bytes !== undefined && !this.#options.outlet.part(bytes, part.isLast)) this.#pause();
  };

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
  async deliver(posting: Posting, watch?: CallWatch): Promise<PostAnswer> {
    // Read while the stream ended: it is to begin nothing that nobody would end.
    if (this.#isClosed) throw noSession();
    const { session } = this;
    const { messages } = posting;
    const discovery = this.#options.isBridged ? messages.find(isDiscovery) : undefined;
    if (discovery !== undefined) return this.#refuseDiscovery(discovery.id!, watch);
    session.lastUsedAt = performance.now();
    if (messages.every(isPing) && !session.hasChild) return this.#answerPings(messages);
    const { inFlight } = session.serving ?? session.begin(this.#options.choose(messages));
    const shown = session.sleeper.answer(messages);
    if (shown !== undefined) {
      this.onMessage(shown, undefined);
      return ACCEPTED;
    }
    let isSent = false;
    try {
      const answer = await session.post(posting, watch, (sent) => {
        isSent = true;
        this.#late.forget(sent);
      });
      if (answer.status < 300) return answer;
      requirePassable(answer);
      inFlight.refused(messages);
      return answer;
    } catch (error) {
      // What was sent may have been answered meanwhile, or may be yet: a server may fail after it took a message.
      const unanswered = isSent ? inFlight.refused(messages) : idsOf(messages);
      if (isSent) this.#late.expect(unanswered);
      const failure = toSupervisorError(error);
      const isTheirs = ERROR_CODES[failure.code].blames === "request";
      if (isTheirs || !messages.some(isRequest) || this.#isClosed) throw error;
      return this.refuse(unanswered, failure, watch);
    }
  }

  /** Answers requests of a POST (their ids, as JSON text) on the stream with why they get no other answer. */
  refuse(ids: readonly string[], error: SupervisorError, watch?: CallWatch): PostAnswer {
    // What is answered already, or is about to be, has its own reason.
    if (ids.length > 0) watch?.failApart(error);
    const { initialize } = this.session.memory;
    for (const id of ids) this.#answerWith(error, id, watch, urlElicitation(error, [initialize]));
    return ACCEPTED;
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
    this.#options.unread.close();
    this.session.close();
  }

  onMessage(raw: Text, _about: string | undefined, known?: Message): void {
    const messages = known === undefined ? messagesIn(raw) : [known];
    if (this.#late.take(messages)) return;
    const full = this.#options.unread.refusal(raw.length);
    if (full !== undefined) return this.#drop(messages, full);
    this.session.serving?.inFlight.received(messages, raw.length);
    if (!emitMessage(this.#options.outlet, raw)) this.#pause();
  }

  onDropped(id: string, error: SupervisorError): void {
    this.#fail({ id, watch: this.session.serving?.inFlight.failed(id) }, error);
  }

  interrupt(unanswered: readonly Unanswered[]): TellAll | undefined {
    if (unanswered.length === 0) return undefined;
    return (cause) => inTurns(unanswered, (one) => this.#fail(one, cause));
  }

  end(): void {
    this.#options.outlet.end();
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

  /** Clients ask whether the session is there, and it is: no child is started for that. */
  #answerPings(messages: readonly ClientMessage[]): PostAnswer {
    for (const { id } of messages)
      this.#options.outlet.event(formatEvent("message", pongText(id!)));
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
    this.#options.outlet.onceDrained(() => {
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
    this.#options.outlet.event(formatEvent("message", text));
  }
}
