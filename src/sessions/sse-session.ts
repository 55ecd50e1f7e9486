import { randomBytes } from "node:crypto";
import { unawaited } from "../containment.ts";
import { ERROR_CODES, SupervisorError, toSupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idsOf, isPing, isRequest, isResponse } from "../mcp/envelope.ts";
import { pongText } from "../mcp/messages.ts";
import type { Message } from "../mcp/envelope.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { RPC } from "../mcp/modern.ts";
import { formatEvent } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { LEGACY_VERSIONS } from "../mcp/versions.ts";
import { inTurns } from "../platform/in-turns.ts";
import type { HttpTarget, Instance, Live } from "../instances/supervisor.ts";
import { SseLink } from "../links/sse-link.ts";
import type { Remembered } from "../links/stdio-client.ts";
import type { PostAnswer } from "../links/sse-link.ts";
import { emitMessage } from "./bridged-answer.ts";
import { ACCEPTED, bridgePosts } from "./bridged-link.ts";
import type { PostLink } from "./bridged-link.ts";
import { refused } from "./bridged-messages.ts";
import { explainFailure } from "./exit.ts";
import type { CallWatch } from "./calls.ts";
import type { Unanswered } from "./in-flight.ts";
import { requirePassable } from "./passable.ts";
import type { LinkState } from "./link-state.ts";
import { LateAnswers } from "./late-answers.ts";
import type { MessageLinkEvents } from "./message-link.ts";
import type { Holder } from "./open-requests.ts";
import { openMessageLink } from "./open-message-link.ts";
import type { Outlet } from "./outlet.ts";
import { serve } from "./serving.ts";
import type { Place, Serving } from "./serving.ts";
import type { Unread } from "./unread.ts";
import type { Upstreams } from "./upstreams.ts";

export interface SseSessionOptions {
  holder: Holder;
  /** The instance whose path the client came by. */
  instance: Instance;
  /** For stdio: the instance that serves the session, told from its first message. Throws REQUEST_INVALID. */
  choose?: (messages: readonly ClientMessage[]) => Place;
  outlet: Outlet;
  upstreams: Upstreams;
  postTimeoutMs: number;
  /** A stateful server's sessions end with the child instead of outliving it. */
  isStateful: boolean;
  /** The server speaks another transport than this front. */
  isBridged: boolean;
  requestId: string;
  /** Counts what waits on the outlet. */
  unread: Unread;
}

const isDiscovery = (message: ClientMessage): boolean =>
  message.method === "server/discover" && isRequest(message);

/**
 * A client's conversation over HTTP with SSE. It begins with the client's stream and needs no child:
 * the first message starts one and opens the link. When the child goes, calls under way are answered
 * with an error and the stream stays.
 */
export class SseSession {
  readonly id = randomBytes(16).toString("base64url");
  readonly holder: Holder;
  readonly instance: Instance;
  readonly #options: SseSessionOptions;
  #serving: Serving | undefined;
  #state: LinkState = { kind: "none" };
  #isPaused = false;
  #lastUsedAt = performance.now();
  readonly #late = new LateAnswers();

  constructor(options: SseSessionOptions) {
    this.#options = options;
    this.holder = options.holder;
    this.instance = options.instance;
    if (options.choose === undefined)
      this.#serving = serve({ instance: options.instance, askable: new Set() });
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
  async deliver(
    body: Buffer,
    messages: readonly ClientMessage[],
    headers: string[],
    watch?: CallWatch,
  ): Promise<PostAnswer> {
    const discovery = this.#options.isBridged ? messages.find(isDiscovery) : undefined;
    if (discovery !== undefined) return this.#refuseDiscovery(discovery.id!, watch);
    this.#lastUsedAt = performance.now();
    if (messages.every(isPing) && !this.#isLinked) return this.#answerPings(messages);
    const { instance, inFlight } = (this.#serving ??= serve(this.#options.choose!(messages)));
    let isSent = false;
    try {
      const link = this.#linkNow(instance) ?? (await this.#link(instance));
      const readiness = link.ready?.();
      if (readiness !== undefined) await readiness;
      inFlight.requireFree(messages);
      this.#late.forget(messages);
      inFlight.sent(messages, watch);
      isSent = true;
      const answer = await link.post(body, messages, headers);
      requirePassable(answer);
      if (answer.status >= 300) inFlight.refused(messages);
      return answer;
    } catch (error) {
      // What was sent may have been answered meanwhile, or may be yet: a server may fail after it took a message.
      const unanswered = isSent ? inFlight.refused(messages) : idsOf(messages);
      if (isSent) this.#late.expect(unanswered);
      const failure = toSupervisorError(error);
      const isTheirs = ERROR_CODES[failure.code].blames === "request";
      if (isTheirs || !messages.some(isRequest) || this.#state.kind === "closed") throw error;
      return this.refuse(unanswered, failure, watch);
    }
  }

  /** The link that is open. A child that is on its way out takes its time: its link is open still, but it may have an old token. */
  #linkNow(instance: Instance): PostLink | undefined {
    const state = this.#state;
    if (state.kind !== "open") return undefined;
    if (instance.live !== state.live && !this.#isRenewed(state.live)) throw this.#lost();
    return state.link;
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

  get #isLinked(): boolean {
    if (this.#state.kind !== "open") return false;
    const { live } = this.#serving!.instance;
    return this.#isRenewed(this.#state.live) ? live !== undefined : live === this.#state.live;
  }

  /** Whether another generation of this child takes the session over. */
  #isRenewed({ target }: Live): boolean {
    return target.transport === "stdio" && !this.#options.isStateful;
  }

  /** Clients ask whether the session is there, and it is: no child is started for that. */
  #answerPings(messages: readonly ClientMessage[]): PostAnswer {
    for (const { id } of messages)
      this.#options.outlet.event(formatEvent("message", pongText(id!)));
    return ACCEPTED;
  }

  /** Answers requests of a POST (their ids, as JSON text) on the stream with why they get no other answer. */
  refuse(ids: readonly string[], error: SupervisorError, watch?: CallWatch): PostAnswer {
    watch?.failApart(error);
    for (const id of ids) this.#answerWith(error, id, watch);
    return ACCEPTED;
  }

  get isBusy(): boolean {
    return (this.#serving?.inFlight.size ?? 0) > 0;
  }

  /** Nobody waits for the child any more: calls under way are answered with the error, and the stream ends. */
  giveUp(error: SupervisorError): void {
    for (const one of this.#serving?.inFlight.drainUnanswered() ?? []) this.#fail(one, error);
    this.end();
  }

  /** Whether the client has said nothing since (`performance.now()`), and waits for nothing. */
  isUnusedSince(at: number): boolean {
    return this.#lastUsedAt < at && !this.isBusy;
  }

  /** The instance that serves the session, once it has begun. */
  get serving(): Instance | undefined {
    return this.#serving?.instance;
  }

  /** The session is over: the client's stream ends, and all the rest with it. */
  end(): void {
    this.#options.outlet.end();
  }

  /** The client has left or may not stay: its link goes too. */
  close(): void {
    if (this.#state.kind === "closed") return;
    const state = this.#state;
    this.#state = { kind: "closed" };
    this.#options.unread.close();
    if (state.kind === "open") state.link.close();
    if (this.#serving === undefined) return;
    this.#serving.inFlight.drain();
    this.#serving.holds.clear();
    this.#serving.instance.usage.sessions -= 1;
  }

  async #link(instance: Instance): Promise<PostLink> {
    switch (this.#state.kind) {
      case "open":
        return this.#state.link;
      case "lost":
      case "closed":
        throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
      case "opening":
        return await this.#state.opening;
      case "none": {
        // Kept until it settles: messages that arrive meanwhile share it, so a session never has two links.
        const opening = this.#open(instance);
        this.#state = { kind: "opening", opening };
        return await opening;
      }
    }
  }

  async #open(instance: Instance): Promise<PostLink> {
    try {
      const live = await instance.ensure();
      const link =
        live.target.transport === "sse"
          ? await this.#relay(live, live.target)
          : await this.#bridge(live);
      // The client may have left while the child was starting.
      if (this.#state.kind !== "opening") {
        link.close();
        throw new SupervisorError("SESSION_NOT_FOUND", "no such session");
      }
      this.#state = { kind: "open", link, live };
      return link;
    } catch (error) {
      // Nothing of the session has reached a child yet, so the next message may try again.
      if (this.#state.kind === "opening") this.#state = { kind: "none" };
      throw error;
    }
  }

  async #relay(live: Live, target: HttpTarget): Promise<PostLink> {
    const link = await SseLink.open({
      client: this.#options.upstreams.clientFor(live, target),
      target,
      postTimeoutMs: this.#options.postTimeoutMs,
      onPart: (part) => this.#onPart(part),
      onClosed: (error) => this.#settle(this.#onLinkClosed(live, error)),
    });
    return {
      post: (body, _messages, headers) => link.post(body, headers),
      pause: () => link.pause(),
      resume: () => link.resume(),
      close: () => link.close(),
    };
  }

  async #bridge(live: Live): Promise<PostLink> {
    const { upstreams, postTimeoutMs, outlet, unread } = this.#options;
    const { instance, askable, holds } = this.#serving!;
    const renewal = {
      instance,
      onInterrupted: (ended: Live) => this.#settle(this.#interrupted(this.#lost(), ended)),
      onRenewed: ({ uris }: Remembered) => holds.restore(uris),
    };
    const events: MessageLinkEvents = {
      askable,
      onDropped: (id, error) => this.#dropped(id, error),
      onMessage: (raw, _about, known) => {
        const messages = known === undefined ? messagesIn(raw) : [known];
        if (this.#late.take(messages)) return;
        const full = unread.refusal(raw.length);
        if (full !== undefined) return this.#drop(messages, full);
        this.#serving?.inFlight.received(messages, raw.length);
        if (!emitMessage(outlet, raw)) this.#pause();
      },
      onClosed: (error) => this.#settle(this.#onLinkClosed(live, error)),
    };
    const goesOn = this.#isRenewed(live) ? renewal : undefined;
    return bridgePosts(await openMessageLink(live, upstreams, postTimeoutMs, events, goesOn));
  }

  readonly #settle = (work: Promise<void>) => unawaited("session", () => this.end(), work);

  #onPart(part: EventPart): void {
    if (part.isLast) this.#serving?.inFlight.received(part.messages, part.bytes.length);
    else this.#serving?.inFlight.saw(part.bytes.length);
    const { outlet } = this.#options;
    const bytes = this.#late.sift(part);
    if (bytes === undefined) return;
    if (!outlet.part(bytes, part.isLast)) this.#pause();
  }

  /** What the server sent finds no room. */
  #drop(messages: readonly Message[], error: SupervisorError): void {
    for (const message of messages) {
      const { id } = message;
      if (isResponse(message)) this.#dropped(id!, error);
      else if (!isRequest(message)) this.#options.unread.drop();
      else if (this.#state.kind === "open") {
        // A server that is gone waits for no answer.
        const answer = refused(id!, error);
        this.#state.link.post(answer.raw, [answer], []).catch(() => {});
      }
    }
  }

  #pause(): void {
    // A read that was cut into many events brings many parts after the first one that filled up.
    if (this.#isPaused || this.#state.kind !== "open") return;
    const { link } = this.#state;
    this.#isPaused = true;
    link.pause();
    this.#options.outlet.onceDrained(() => {
      this.#isPaused = false;
      link.resume();
    });
  }

  /** The child is gone. Taken at once: what the client asks from now on is for the next one to answer. */
  async #interrupted(error: SupervisorError, live: Live): Promise<void> {
    const unanswered = this.#serving?.inFlight.drainUnanswered() ?? [];
    if (unanswered.length === 0) return;
    const cause = await explainFailure(error, live);
    await inTurns(unanswered, (one) => this.#fail(one, cause));
  }

  /** Nothing takes a session over SSE or HTTP to another child yet: its client has to begin anew, and the end of its stream tells it so. */
  async #onLinkClosed(live: Live, error: SupervisorError | undefined): Promise<void> {
    if (this.#state.kind === "closed") return;
    this.#state = { kind: "lost" };
    await this.#interrupted(error ?? this.#lost(), live);
    this.#options.outlet.end();
  }

  #lost(): SupervisorError {
    const { user, server } = this.instance.ref;
    return new SupervisorError(
      "SESSION_LOST",
      `${user}/${server}: the server that held this session is gone; connect again`,
    );
  }

  #dropped(id: string, error: SupervisorError): void {
    this.#fail({ id, watch: this.#serving?.inFlight.failed(id) }, error);
  }

  /** Answers a request in the server's place, after its POST was accepted. */
  #fail({ id, watch }: Unanswered, error: SupervisorError): void {
    watch?.failApart(error);
    this.#answerWith(error, id, watch);
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
