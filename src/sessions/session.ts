import { randomBytes } from "node:crypto";
import { contained, guarded, unawaited } from "../containment.ts";
import type { Credential } from "../auth/principal.ts";
import { SupervisorError } from "../errors.ts";
import type { Instance, Live, Unattached } from "../instances/supervisor.ts";
import type { Link, LinkEvents, PostAnswer, Posting, Remembered } from "../links/link.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { CallWatch } from "./calls.ts";
import { explainFailure } from "./exit.ts";
import type { Front } from "./front.ts";
import type { Generations } from "./generations.ts";
import { serve } from "./serving.ts";
import type { Place, Serving } from "./serving.ts";

/** Opens a link to a generation that is ready; to a stdio child at once. Rejects with UPSTREAM_*. */
export type Connect = (
  live: Live,
  before: Remembered | undefined,
  events: LinkEvents,
) => Link | Promise<Link>;

export interface SessionOptions {
  readonly holder: Credential;
  /** The instance whose path the client came by. */
  readonly instance: Instance;
  /** The sessions of a stateful server end with its child. */
  readonly isStateful: boolean;
  readonly generations: Generations;
  readonly connect: Connect;
}

/** Where a session stands with its server. */
type State =
  /** Nothing of it has reached a child: its first message starts one. */
  | { readonly kind: "new" }
  | { readonly kind: "attaching"; readonly attaching: Promise<Link> }
  | {
      readonly kind: "attached";
      readonly live: Live;
      readonly link: Link;
      readonly unwatch: () => void;
    }
  /** Its child has ended, and the next takes it over. */
  | { readonly kind: "between"; readonly before: Remembered }
  /** Its server has ended or given it up, and nothing takes it over. */
  | { readonly kind: "lost" }
  | { readonly kind: "closed" };

/**
 * A client's conversation with one server, whatever front it came by and whatever stands behind it:
 * which instance serves it, on which generation it is, what waits for an answer, what keeps the
 * child. It begins before there is a child. When a child ends, what was under way is answered with an
 * error; a session over stdio goes on with the next one, any other is lost.
 */
export class Session implements Unattached {
  /** Unguessable; what the client knows. */
  readonly id = randomBytes(16).toString("base64url");
  readonly holder: Credential;
  readonly instance: Instance;
  /** `performance.now()` when the client last said something. */
  lastUsedAt = performance.now();
  readonly #options: SessionOptions;
  readonly #front: Front;
  #serving: Serving | undefined;
  #state: State = { kind: "new" };

  constructor(options: SessionOptions, front: Front) {
    this.#options = options;
    this.#front = front;
    this.holder = options.holder;
    this.instance = options.instance;
  }

  /** The instance at this place serves the session from now on, and counts it. Once. */
  begin(place: Place): Serving {
    this.#serving = serve(place);
    return this.#serving;
  }

  /** What counts its messages into the instance that serves it; undefined until it is known which. */
  get serving(): Serving | undefined {
    return this.#serving;
  }

  /** The generation that it is on, or was last on. */
  get live(): Live | undefined {
    return this.#state.kind === "attached" ? this.#state.live : undefined;
  }

  /** A message can go out without a child being started for it. */
  get hasChild(): boolean {
    const state = this.#state;
    if (state.kind !== "attached") return false;
    const { live } = this.#serving!.instance;
    return this.#isRenewed(state.live) ? live !== undefined : live === state.live;
  }

  /** No message of it will be answered any more. */
  get isLost(): boolean {
    const state = this.#state;
    if (state.kind === "lost" || state.kind === "closed") return true;
    return (
      state.kind === "attached" && !this.#isCurrent(state.live) && !this.#isRenewed(state.live)
    );
  }

  /** Requests under way. */
  get inFlight(): number {
    return this.#serving?.inFlight.size ?? 0;
  }

  /**
   * Hands on what the client posted, to a child that is started if it is down, and resolves with what
   * the server said to that. `onSending` is called when it is about to go out: from then on its
   * requests are under way, whatever comes.
   *
   * Rejects with REQUEST_INVALID for an id in use, SESSION_LOST or SESSION_NOT_FOUND once the session
   * is over, with what keeps the child from starting, and as `Link.post` does.
   */
  async post(
    posting: Posting,
    watch: CallWatch | undefined,
    onSending: () => void,
  ): Promise<PostAnswer> {
    const { inFlight } = this.#serving!;
    // Nothing is awaited between here and the link where there is one: a child's end in between would be the new message's end too.
    const link = this.#linkNow() ?? (await this.#attached());
    inFlight.requireFree(posting.messages);
    onSending();
    inFlight.sent(posting.messages, watch);
    return await link.post(posting);
  }

  /** Begins the way to the server without a message. Rejects as `post` does. */
  async open(): Promise<void> {
    if (this.#linkNow() === undefined) await this.#attached();
  }

  /** The session is on this generation already, over this link. */
  adopt(live: Live, link: Link): void {
    this.#hold(live, link);
  }

  /** Says something in the client's place; a server that is gone needs to hear none of it. */
  tell(message: ClientMessage): void {
    if (this.#state.kind !== "attached") return;
    const { raw: body } = message;
    this.#state.link.post({ body, messages: [message], headers: [] }).catch(() => {});
  }

  /** Lets the server wait for the client to read, where it serves this session alone. */
  pause(): void {
    if (this.#state.kind === "attached") this.#state.link.pause();
  }

  resume(): void {
    if (this.#state.kind === "attached") this.#state.link.resume();
  }

  /** For the instance: the next child is ready, and is told what the session had asked of the last one. */
  attach(live: Live): void {
    const state = this.#state;
    const { instance, holds } = this.#serving!;
    instance.usage.unattached.delete(this);
    if (state.kind !== "between") return;
    // The config has changed what the server speaks.
    if (!this.#isRenewed(live)) return this.giveUp(this.#lost());
    try {
      // To a stdio child at once.
      const link = this.#options.connect(live, state.before, this.#events) as Link;
      this.#hold(live, link);
      holds.restore(state.before.uris);
    } catch (error) {
      this.giveUp(contained("session", error));
    }
  }

  /**
   * The session cannot go on, because nobody waits for its server any more or something of ours threw
   * between two messages: what is under way is answered with the error, and the client's streams end.
   */
  giveUp(error: SupervisorError): void {
    if (this.#state.kind === "closed") return;
    this.#leaveFor({ kind: "lost" }, (link) => link.close());
    this.#interrupt(error, undefined, true);
  }

  /** The client has left or may not stay: the server is told, unless it knows (`isTold`). */
  close(isTold = false): void {
    if (this.#state.kind === "closed") return;
    this.#leaveFor({ kind: "closed" }, (link) =>
      isTold ? link.abandon(noSession()) : link.close(),
    );
    if (this.#serving === undefined) return;
    const { instance, inFlight, holds } = this.#serving;
    instance.usage.unattached.delete(this);
    inFlight.drain();
    holds.clear();
    instance.usage.sessions -= 1;
  }

  /** The link where the session is on the generation that serves now. Throws SESSION_LOST where it was on another and is lost with it. */
  #linkNow(): Link | undefined {
    const state = this.#state;
    if (state.kind !== "attached") return undefined;
    if (this.#isCurrent(state.live)) return state.link;
    // A child that is on its way out takes its time: its link is open still, but it may have an old token.
    if (!this.#isRenewed(state.live)) throw this.#lost();
    return undefined;
  }

  #isCurrent(live: Live): boolean {
    return live === this.#serving!.instance.live;
  }

  /** Whether another generation of this child takes the session over. */
  #isRenewed({ target }: Live): boolean {
    return target.transport === "stdio" && !this.#options.isStateful;
  }

  async #attached(): Promise<Link> {
    const { instance } = this.#serving!;
    for (;;) {
      const state = this.#state;
      switch (state.kind) {
        case "closed":
        case "lost":
          throw noSession();
        case "new": {
          // Kept until it settles: messages that arrive meanwhile share it, so a session never has two links.
          const attaching = this.#connect(instance);
          this.#state = { kind: "attaching", attaching };
          return await attaching;
        }
        case "attaching":
          return await state.attaching;
        case "attached":
          if (this.#isCurrent(state.live)) return state.link;
          // It still answers what it was asked; its end is told to `#onChildEnded` first.
          await state.live.exited;
          break;
        case "between":
          this.attach(await instance.ensure());
      }
    }
  }

  async #connect(instance: Instance): Promise<Link> {
    try {
      const live = await instance.ensure();
      const opened = this.#options.connect(live, undefined, this.#events);
      const link = opened instanceof Promise ? await opened : opened;
      // The client may have left while the child was starting, or the link may be over already.
      if (this.#state.kind !== "attaching") {
        link.close();
        throw this.#state.kind === "lost" ? this.#front.cutOff : noSession();
      }
      this.#hold(live, link);
      return link;
    } catch (error) {
      // Nothing of the session has reached a child yet, so the next message may try again.
      if (this.#state.kind === "attaching") this.#state = { kind: "new" };
      throw error;
    }
  }

  #hold(live: Live, link: Link): void {
    const onEnd = guarded(
      "session",
      (failure) => this.giveUp(failure),
      () => this.#onChildEnded(live),
    );
    const unwatch = this.#options.generations.onEnd(live, onEnd);
    this.#state = { kind: "attached", live, link, unwatch };
  }

  get #events(): LinkEvents {
    return {
      askable: this.#serving!.askable,
      listener: this.#front,
      onClosed: (error) => this.#onLinkClosed(error),
    };
  }

  #onChildEnded(live: Live): void {
    const state = this.#state;
    if (state.kind !== "attached" || state.live !== live) return;
    const isRenewed = this.#isRenewed(live);
    const next: State = isRenewed
      ? { kind: "between", before: state.link.recall() }
      : { kind: "lost" };
    this.#leaveFor(next, (link) => link.abandon(this.#front.cutOff));
    if (isRenewed) this.#serving!.instance.usage.unattached.add(this);
    this.#interrupt(this.#front.cutOff, live, !isRenewed);
  }

  /** The link broke, or its server has ended the session. */
  #onLinkClosed(error: SupervisorError | undefined): void {
    const state = this.#state;
    if (state.kind === "closed" || state.kind === "lost") return;
    if (state.kind === "attached") state.unwatch();
    this.#state = { kind: "lost" };
    this.#interrupt(
      error ?? this.#front.cutOff,
      state.kind === "attached" ? state.live : undefined,
      true,
    );
  }

  /** What its link may leave undone is not to keep the session from its end. */
  #leaveFor(next: State, end: (link: Link) => void): void {
    const state = this.#state;
    this.#state = next;
    if (state.kind !== "attached") return;
    state.unwatch();
    guarded("session", () => {}, end)(state.link);
  }

  #interrupt(error: SupervisorError, live: Live | undefined, isOver: boolean): void {
    const tell = this.#front.interrupt(this.#serving?.inFlight.drainUnanswered() ?? []);
    // A child that lives on, or the next one, is not to be kept for it until its client notices.
    if (isOver) this.#serving?.holds.clear();
    const work = async (): Promise<void> => {
      if (tell !== undefined)
        await tell(live === undefined ? error : await explainFailure(error, live));
      if (isOver) this.#front.end();
    };
    unawaited("session", (failure) => this.giveUp(failure), work());
  }

  #lost(): SupervisorError {
    const { user, server } = this.instance.ref;
    return new SupervisorError(
      "SESSION_LOST",
      `${user}/${server}: the server that held this session is gone; connect again`,
    );
  }
}

export const noSession = (): SupervisorError =>
  new SupervisorError("SESSION_NOT_FOUND", "no such session");
