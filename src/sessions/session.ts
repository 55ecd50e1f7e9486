import { randomBytes } from "node:crypto";
import { guarded, unawaited, unheard } from "../containment.ts";
import type { Credential } from "../auth/principal.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Ended, Follower, Instance, Live } from "../instances/supervisor.ts";
import { ACCEPTED } from "../links/link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "../links/link.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest } from "../mcp/envelope.ts";
import { rejected } from "../platform/rejected.ts";
import { Attachment, takenBackText } from "./attachment.ts";
import { ComeBack } from "./come-back.ts";
import { endBehind } from "./front.ts";
import type { Front } from "./front.ts";
import { tellNews } from "./news.ts";
import { arrive } from "./arrival.ts";
import { Recovery } from "./recovery.ts";
import { postingOf, route } from "./route.ts";
import type { Places } from "./route.ts";
import { Sender } from "./sender.ts";
import { noSession, sessionLost } from "./session-errors.ts";
import { SessionMemory } from "./session-memory.ts";
import type { SessionState } from "./session-state.ts";
import type { OnSending, SessionOptions, Watch } from "./session-options.ts";
import { serve, unserve } from "./serving.ts";
import type { Place, Serving } from "./serving.ts";
import { Sleeper } from "./sleeper.ts";
import { Waiting } from "./waiting.ts";
import { LazySet } from "../platform/lazy.ts";

/** Backends that may die while a session is told to them, before its client hears of it. */
const MAX_TRIES = 3;

/**
 * A client's conversation with one server, whatever front it came by and whatever stands behind it:
 * which instance serves it, on which generation it is, what waits for an answer, what keeps the
 * child. It begins before there is a child, and goes on when that has ended: the next message brings
 * the next generation, which is told what the last one knew. Of what was under way some is sent
 * again, the rest is answered with an error. Only the sessions of a stateful server end with it.
 */
export class Session implements Follower {
  /** Unguessable; what the client knows. */
  readonly id: string;
  readonly holder: Credential;
  readonly instance: Instance;
  /** See `SessionSettings`. */
  readonly mark: string | undefined;
  readonly memory = new SessionMemory();
  /** `performance.now()` when the client last said something. */
  lastUsedAt = performance.now();
  readonly #options: SessionOptions;
  readonly #front: Front;
  readonly #waiting = new Waiting();
  /** Its place on the generation that it is on its way to. */
  #arriving: Attachment | undefined;
  /** Places on generations that drain: they have calls to answer still. */
  readonly #drained = new LazySet<Attachment>();
  readonly #comeBack: ComeBack;
  readonly #recovery: Recovery;
  readonly #sender: Sender;
  readonly sleeper: Sleeper;
  #serving: Serving | undefined;
  #state: SessionState = { kind: "away" };
  /** A generation has ended that may have had something to say. */
  #hasMissed = false;

  constructor(options: SessionOptions, front: Front) {
    this.#options = options;
    this.#front = front;
    this.id = options.id ?? randomBytes(16).toString("base64url");
    this.holder = options.holder;
    this.instance = options.instance;
    this.mark = options.mark;
    this.#comeBack = new ComeBack(this);
    this.#sender = new Sender(this, options.isStateful, (at, messages) => {
      this.#onEnded(at, undefined);
      if (!messages.some(isRequest)) this.#hear(messages);
    });
    this.sleeper = new Sleeper(this, options);
    this.#recovery = new Recovery({ ...options, session: this, front, sender: this.#sender });
  }

  /** The instance at this place serves the session from now on, and counts it. Once, and again after `park`. */
  begin(place: Place): Serving {
    if (this.#state.kind === "parked") this.#state = { kind: "away" };
    this.#serving = serve(place, this.#options.resend, this);
    return this.#serving;
  }

  /** What counts its messages into the instance that serves it; undefined until it is known which. */
  get serving(): Serving | undefined {
    return this.#serving;
  }

  /** The generation that it is on. */
  get live(): Live | undefined {
    return this.#state.kind === "attached" ? this.#state.at.live : undefined;
  }

  /** A message can go out without a child being started for it. */
  get hasChild(): boolean {
    return this.#state.kind === "attached" && this.#isServed(this.#state.at);
  }

  /** No message of it will be answered any more. */
  get isLost(): boolean {
    const state = this.#state;
    if (state.kind === "lost" || state.kind === "closed") return true;
    return this.#options.isStateful && state.kind === "attached" && !this.#isServed(state.at);
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.#serving?.inFlight.size ?? 0;
  }

  /**
   * Hands on what the client posted, to a child that is started if it is down, and resolves with what
   * the server said to that. `onSending` is called with what is about to go out: from then on its
   * requests are under way, whatever comes, and what becomes of them where their server ends is told
   * by the front. Of what only the last generation could understand nothing goes out.
   *
   * Rejects with REQUEST_INVALID for an id in use, SESSION_LOST or SESSION_NOT_FOUND once the session
   * is over, with what keeps the child from starting, and as `Link.post` does.
   */
  post(posting: Posting, watch: Watch, onSending: OnSending): Promise<PostAnswer> {
    try {
      const now = this.#now();
      // Nothing is awaited between here and the link where there is one: a child's end in between would be the new message's end too.
      if (now !== undefined) return this.#carry(posting, now, watch, onSending);
    } catch (error) {
      return rejected(error);
    }
    return this.#postLater(posting, watch, onSending);
  }

  /** As `post`, where there is no generation yet that takes messages. */
  async #postLater(posting: Posting, watch: Watch, onSending: OnSending): Promise<PostAnswer> {
    const { messages } = posting;
    if (this.memory.isBegun && !messages.some(isRequest)) return this.#hear(messages);
    const wanted = await this.#waiting.during(messages, this.#attached());
    if (wanted.length === 0) return ACCEPTED;
    const at = this.#now() ?? (await this.#attached());
    return await this.#carry(postingOf(posting, wanted), at, watch, onSending);
  }

  /** Begins the way to the server without a message. Rejects as `post` does. */
  async open(): Promise<void> {
    if (this.#now() === undefined) await this.#attached();
  }

  /** The session is on this generation already, which answered its `initialize`, over the link that `open` opens. */
  adopt(live: Live, open: (at: Attachment, events: LinkEvents) => Link): void {
    const at = this.#placeOn(live);
    at.use(open(at, this.#eventsOf(at)));
    this.#hold(at);
  }

  /** Says something in the client's place; a server that is gone needs to hear none of it. */
  tell(message: ClientMessage): void {
    unheard("session", this.#broke, this.told(message));
  }

  /** As `tell`; resolves when it has been heard, and rejects as `Link.post` does. */
  async told(message: ClientMessage): Promise<void> {
    const places = this.#places;
    const own = route({ body: message.raw, messages: [message], headers: [] }, places);
    await (own && places.now!.link.post(own));
  }

  /** Lets the server wait for the client to read, where it serves this session alone. */
  pause(): void {
    if (this.#state.kind === "attached") this.#state.at.link.pause();
  }

  resume(): void {
    if (this.#state.kind === "attached") this.#state.at.link.resume();
  }

  /**
   * For the instance: the next generation is ready. Who shares a child of stdio hears it from now on,
   * and who subscribed to something must not miss a change; all others come with their next message.
   */
  follow(live: Live): void {
    const state = this.#state;
    if (this.#options.isStateful || !this.memory.isBegun) return;
    if (live.target.transport !== "stdio" && this.memory.subscriptions.size === 0) return;
    if (state.kind === "attached" && state.at.live !== live) this.#leave(state.at);
    if (this.#state.kind === "away") this.#comeBack.now();
  }

  /**
   * The session cannot go on, because nobody waits for its server any more or something of ours threw
   * between two messages: what is under way is answered with the error, and the client's streams end.
   */
  giveUp(error: SupervisorError): void {
    if (this.#state.kind === "closed") return;
    this.#endAll("lost");
    this.memory.keeper?.lost();
    this.#serving?.holds.clear();
    const tell = this.#front.interrupt(this.#serving?.inFlight.drainUnanswered() ?? []);
    unawaited("session", () => this.#front.end(), endBehind(this.#front, tell?.(error)));
  }

  /** The client has left or may not stay: the server is told, unless it knows (`isTold`). */
  close(isTold = false): void {
    if (this.#state.kind === "closed") return;
    this.#endAll("closed", isTold);
    if (this.#serving !== undefined) unserve(this.#serving, this);
  }

  /**
   * Its client is away for good, as far as anybody knows, and waits for nothing: the way to the server
   * ends, and no instance is kept for it. What the session was about stays: after `begin` its next
   * message brings a generation that is told. False where it is on its way to one, or is over.
   */
  park(): boolean {
    if (this.#serving === undefined || this.isLost || this.#state.kind === "attaching")
      return false;
    this.#endAll("parked");
    this.#hasMissed = this.memory.isBegun;
    unserve(this.#serving, this);
    this.#serving = undefined;
    return true;
  }

  readonly #broke = (failure: SupervisorError): void => this.giveUp(failure);

  /** Where its messages go now; undefined where the next one brings the next generation. */
  #now(): Attachment | undefined {
    if (this.#state.kind !== "attached") return undefined;
    const { at } = this.#state;
    if (this.#isServed(at)) return at;
    if (this.#options.isStateful) throw sessionLost(this.instance.ref);
    this.#leave(at);
    return undefined;
  }

  /** A session of a stateful server stays where it is for as long as that is there. */
  #isServed(at: Attachment): boolean {
    if (at.live === this.#serving!.instance.live) return true;
    return this.#options.staysBehind && at.live.isHandedOver();
  }

  /** Another generation takes its messages, or will: this one answers what it has. */
  #leave(at: Attachment): void {
    this.#state = { kind: "away" };
    this.#drained.add(at);
    at.drain();
  }

  /** All that it had to answer is answered. */
  #release(at: Attachment): void {
    this.#drained.delete(at);
    this.#end(at, (link) => link.close());
  }

  /** A message without a request, while there is nobody to hear it. */
  #hear(messages: readonly ClientMessage[]): PostAnswer {
    if (this.isLost) throw noSession();
    this.#waiting.heard(messages);
    return this.sleeper.hear(messages, this.#places);
  }

  #carry(
    posting: Posting,
    at: Attachment,
    watch: Watch,
    onSending: OnSending,
  ): Promise<PostAnswer> {
    const { inFlight } = this.#serving!;
    const { messages, headers } = posting;
    inFlight.requireFree(messages);
    onSending(messages);
    const own = route(posting, this.#places);
    inFlight.sent(messages, watch, at, headers);
    this.memory.sent(messages);
    return own === undefined ? Promise.resolve(ACCEPTED) : this.#sender.send(own, at);
  }

  async #attached(): Promise<Attachment> {
    const state = this.#state;
    if (state.kind === "closed" || state.kind === "lost") throw noSession();
    if (state.kind === "attached") return state.at;
    if (state.kind === "attaching") return await state.attaching;
    // Kept until it settles: messages that arrive meanwhile share it, so a session never has two ways to one generation.
    const attaching = this.#attach();
    this.#state = { kind: "attaching", attaching };
    return await attaching;
  }

  async #attach(): Promise<Attachment> {
    try {
      for (let tries = 1; ; tries++) {
        const live = await this.#serving!.instance.ensure();
        this.#requireOpen();
        const at = this.#placeOn(live);
        try {
          this.#arriving = at;
          const own = { memory: this.memory, events: this.#eventsOf(at) };
          await arrive(at, { ...this.#options, ...own, requireOpen: () => this.#requireOpen() });
          this.#hold(at);
          return at;
        } catch (error) {
          this.#end(at, (link) => link.close());
          this.#requireOpen();
          if (tries === MAX_TRIES || (await live.ending()) === undefined) throw error;
        } finally {
          this.#arriving = undefined;
        }
      }
    } catch (error) {
      const failure = toSupervisorError(error);
      // Nothing of the messages that wait has reached a child, so the next one may try again.
      if (this.#state.kind === "attaching") this.#state = { kind: "away" };
      if (failure.code === "SESSION_LOST") this.giveUp(failure);
      throw failure;
    }
  }

  /** The client may have left meanwhile. */
  #requireOpen(): void {
    if (this.#state.kind === "attaching") return;
    throw this.#state.kind === "lost" ? this.#front.cutOff : noSession();
  }

  #eventsOf(at: Attachment): LinkEvents {
    const onClosed = (error?: SupervisorError): void => this.#onEnded(at, error);
    return { askable: this.#serving!.askable, listener: at, onClosed };
  }

  #placeOn(live: Live): Attachment {
    const epoch = this.memory.nextEpoch(live.generation);
    const { inFlight } = this.#serving!;
    const own = { front: this.#front, inFlight, memory: this.memory, onBroke: this.#broke };
    const at: Attachment = new Attachment(live, epoch, {
      ...own,
      onDrained: () => this.#release(at),
    });
    return at;
  }

  #hold(at: Attachment): void {
    if (at.isOver) throw this.#front.cutOff;
    const onEnd = ({ byItself = false }: Ended): void => this.#onEnded(at, undefined, byItself);
    at.unwatch = this.#options.backends.onEnd(at.live, onEnd, this.#broke);
    if (this.#options.staysBehind) at.keep();
    this.#state = { kind: "attached", at };
    this.#serving!.holds.restore(this.memory.uris);
    this.#recovery.sendWaiting(at);
    this.sleeper.arrived(at);
    if (at.epoch === 0) return;
    // A list that it does not show, or its own end: what comes next tells of it.
    unheard("session", this.#broke, tellNews(at, this.memory, this.#front, this.#hasMissed));
    this.#hasMissed = false;
  }

  /** The generation has ended, the link broke, or the server has ended or forgotten the session. */
  #onEnded(at: Attachment, error?: SupervisorError, isByItself = this.#isServed(at)): void {
    if (at.isOver) return;
    // What threw may have left half of a message behind: no next generation mends that.
    if (error?.code === "INTERNAL") return this.giveUp(error);
    const isCurrent = this.#state.kind === "attached" && this.#state.at === at;
    const { unsent } = at;
    this.#drained.delete(at);
    if (isCurrent) this.#state = { kind: this.#options.isStateful ? "lost" : "away" };
    for (const id of this.#end(at, (link) => link.abandon(error ?? this.#front.cutOff)))
      this.#front.onMessage(Buffer.from(takenBackText(id)), undefined);
    this.#recovery.decide(at, unsent, error ?? this.#front.cutOff);
    if (!isCurrent) return;
    this.#hasMissed = true;
    if (this.isLost) return this.#serving!.holds.clear();
    // A client that only listens says nothing that would bring the next one.
    const listens = this.memory.subscriptions.size > 0 || this.#serving!.holds.hasTask;
    if (isByItself && listens) this.#comeBack.now();
  }

  get #places(): Places {
    const now = this.#state.kind === "attached" ? this.#state.at : undefined;
    const { inFlight } = this.#serving ?? {};
    return { now, arriving: this.#arriving, drained: this.#drained, inFlight };
  }

  #endAll(kind: "lost" | "closed" | "parked", isTold = false): void {
    const { now } = this.#places;
    const places = now === undefined ? [...this.#drained] : [now, ...this.#drained];
    this.#state = { kind };
    this.#drained.clear();
    this.#comeBack.cancel();
    for (const at of places)
      this.#end(at, (link) => (isTold ? link.abandon(noSession()) : link.close()));
  }

  /** What its link may leave undone is not to keep the session from its end. Returns the questions that nobody waits for any more. */
  #end(at: Attachment, end: (link: Link) => void): string[] {
    if (at.isOver) return [];
    const questions = at.finish(this.#front.cutOff);
    if (at.hasLink) guarded("session", () => {}, end)(at.link);
    return questions;
  }
}
