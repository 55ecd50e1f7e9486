import { NOT_ASKABLE } from "../mcp/askable.ts";
import { unawaited, guarded } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Follower, Live } from "../instances/supervisor.ts";
import type { Link, Listener } from "../links/link.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import { locate, textAt } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";
import { statusOfError } from "../mcp/modern.ts";
import { PATIENCE_MS, answerWith, beginStream, emitMessage } from "./bridged-answer.ts";
import type { CallWatch } from "./calls.ts";
import { ComeBack } from "./come-back.ts";
import { explainFailure, reasonIn } from "./exit.ts";
import { InFlight, NOT_COUNTED } from "./in-flight.ts";
import type { Carrier, Open, Unanswered } from "./in-flight.ts";
import { Listening } from "./listening.ts";
import type { ModernServer, ModernServing } from "./modern-server.ts";
import type { HttpOutlet } from "./outlet.ts";
import { isRepeatable, isSentAgain } from "./resend.ts";
import { isNewProgress } from "./shown-progress.ts";
import type { Unread } from "./unread.ts";

const PROGRESS = '"notifications/progress"';

/** Where the request is. */
type State =
  /** With nobody: it goes to the next generation. */
  | { readonly kind: "away" }
  | { readonly kind: "sent"; readonly at: ModernServing; readonly link: Link }
  | { readonly kind: "over" };

/**
 * One request of 2026-07-28 over Streamable HTTP to a stdio child, from the POST to the end of its
 * answer: plain JSON where nothing came before it, else the end of a stream. There is no session.
 *
 * Where its child ends it goes to the next generation, if nobody has read it or the server's `resend`
 * says so; else its client is told that it may have happened. A `subscriptions/listen` always does,
 * for as long as its client listens.
 */
export class ModernPost implements Listener, Follower {
  readonly #server: ModernServer;
  readonly #outlet: HttpOutlet;
  readonly #unread: Unread;
  readonly #inFlight: InFlight;
  readonly #timer: NodeJS.Timeout;
  readonly #comeBack: ComeBack;
  #state: State = { kind: "away" };
  #message: ClientMessage | undefined;
  #listening: Listening | undefined;
  #isStream = false;

  /** `unread` counts what waits for this client: the child has other callers and cannot wait for it. */
  constructor(server: ModernServer, outlet: HttpOutlet, unread: Unread) {
    const { instance, resend } = server;
    this.#server = server;
    this.#outlet = outlet;
    this.#unread = unread;
    const mayRepeat = (method: string): boolean => isRepeatable(method, resend);
    this.#inFlight = new InFlight(instance.usage, undefined, mayRepeat);
    const begin = guarded("request", this.#broke, () => this.#begin());
    this.#timer = setTimeout(begin, PATIENCE_MS);
    this.#comeBack = new ComeBack({ open: () => this.#sendToNext() });
  }

  /** See `GivesUp.listensTo`. */
  get listensTo(): string | undefined {
    return this.#listening && this.#server.instance.ref.server;
  }

  /** Sends the request to this generation, or to one that has taken over from it meanwhile. */
  send(message: ClientMessage, first: ModernServing, watch?: CallWatch): void {
    const { live = first.live, usage } = this.#server.instance;
    const at = live === first.live ? first : this.#server.on(live);
    this.#message = message;
    if (message.method === "subscriptions/listen") {
      this.#listening = new Listening(message);
      usage.followers.add(this);
    }
    this.#inFlight.sent([message], watch, this.#carrierOn(at));
    this.#hand(at);
  }

  /** The client has left: closing the stream is the cancellation, so the child must hear of it at once. */
  abort(): void {
    if (this.#isOver) return;
    this.#finish();
  }

  /** Nobody waits for the child any more: the client is told why. */
  giveUp(error: SupervisorError): void {
    if (this.#isOver) return;
    this.#failWith(error, this.#finish());
  }

  /** For the instance: a listener hears the next generation as soon as that is ready. */
  follow(live: Live): void {
    const state = this.#state;
    if (state.kind === "over" || (state.kind === "sent" && state.at.live === live)) return;
    guarded("request", this.#broke, () => this.#sendAgain(this.#server.on(live)))();
  }

  onMessage(raw: Text, _about: string | undefined, answer?: Message): void {
    if (this.#isOver) return;
    if (answer === undefined) return this.#notify(raw);
    const full = this.#unread.refusal(raw.length);
    if (full === undefined) this.#answer(raw, answer);
    else this.onDropped(answer.id!, full);
  }

  onDropped(id: string, error: SupervisorError): void {
    const state = this.#state;
    if (state.kind !== "sent") return;
    // The child has torn it down, maybe because it is about to end.
    if (error.code === "UPSTREAM_RESET") return this.#lost(state.at, { isUnread: false, error });
    this.#inFlight.failed(id);
    this.#finish();
    this.#outlet.fail(error, [id]);
  }

  get #isOver(): boolean {
    return this.#state.kind === "over";
  }

  get #open(): Open {
    return this.#inFlight.find(this.#message!.id!)!;
  }

  #carrierOn({ live: { work } }: ModernServing): Carrier {
    return this.#listening === undefined ? work : NOT_COUNTED;
  }

  #hand(at: ModernServing): void {
    const message = this.#message!;
    const link = at.connect({
      askable: NOT_ASKABLE,
      listener: this,
      onClosed: (failure) => {
        if (failure !== undefined) return this.#broke(failure);
        this.#lost(at, { isUnread: link.unsent().length > 0, error: reset() });
      },
    });
    this.#state = { kind: "sent", at, link };
    const posting = { body: message.raw, messages: [message], headers: [] };
    link.post(posting).catch((error: unknown) => {
      // Where the child has not taken it nobody has read it.
      this.#lost(at, { isUnread: true, error: toSupervisorError(error) });
    });
  }

  #notify(raw: Text): void {
    for (const text of this.#listening?.shown(raw) ?? [raw]) {
      if (this.#isKnownProgress(raw)) return;
      if (this.#unread.refusal(text.length) !== undefined) return this.#unread.drop();
      this.#begin();
      // Beside JSON alone there is nowhere to say it: this era has no other stream.
      if (this.#isStream) emitMessage(this.#outlet, text);
    }
  }

  #isKnownProgress(raw: Text): boolean {
    const open = this.#open;
    if (open.token === undefined) return false;
    const method = locate(raw, ["method"]);
    const isProgress = method !== undefined && textAt(raw, method) === PROGRESS;
    return isProgress && !isNewProgress(open, raw);
  }

  #answer(raw: Text, answer: Message): void {
    this.#inFlight.received([answer], raw.length);
    this.#finish();
    if (!this.#isStream) return answerWith(this.#outlet, raw, statusOfError(answer.errorCode));
    emitMessage(this.#outlet, raw);
    this.#outlet.end();
  }

  /** This generation does not answer it. `isUnread`: and has not read it. */
  #lost(
    at: ModernServing,
    { isUnread, error }: { isUnread: boolean; error: SupervisorError },
  ): void {
    const state = this.#state;
    if (state.kind !== "sent" || state.at !== at) return;
    this.#state = { kind: "away" };
    guarded(
      "request",
      () => {},
      () => state.link.abandon(error),
    )();
    this.#inFlight.lost(this.#open, isUnread);
    this.#inFlight.await(this.#open);
    unawaited("request", this.#broke, this.#goOn(at, isUnread, error));
  }

  async #goOn(at: ModernServing, isUnread: boolean, error: SupervisorError): Promise<void> {
    const { live, hub } = at;
    const ended = await live.ending();
    if (this.#state.kind !== "away") return;
    // It lives on, and has said that it will not answer.
    if (ended === undefined && !isUnread) return await this.#fail(error, live);
    if (this.#listening !== undefined) {
      this.#listening.missed();
      // What somebody has stopped is not started for that.
      if (ended === undefined || ended.byItself === true) this.#comeBack.now();
      return;
    }
    const rule = { wasHanded: !isUnread, resend: this.#server.resend, memory: hub };
    if (!isSentAgain(this.#open, rule)) return await this.#fail(error, live);
    await this.#sendToNext().catch(async (failure: unknown) => {
      await this.#fail(toSupervisorError(failure));
    });
  }

  async #sendToNext(): Promise<void> {
    const next = await this.#server.ready();
    // It was led there meanwhile, or is over.
    if (this.#state.kind === "away") this.#sendAgain(next);
  }

  #sendAgain(next: ModernServing): void {
    const state = this.#state;
    const open = this.#open;
    if (state.kind === "sent") {
      state.link.close();
      this.#inFlight.await(open);
    }
    this.#inFlight.sentAgain(open, this.#carrierOn(next));
    if (this.#listening === undefined) this.#server.survival?.onResent(next.live.ref, 1);
    this.#hand(next);
  }

  /** The client is told why there is no answer; `live` is what may have ended over it. */
  async #fail(cause: SupervisorError, live?: Live): Promise<void> {
    const explaining = live === undefined ? Promise.resolve(cause) : explainFailure(cause, live);
    const unanswered = this.#finish(explaining.then(reasonIn));
    const explained = await explaining;
    if (live !== undefined)
      this.#server.survival?.onLost(live.ref, unanswered.length, reasonIn(explained));
    this.#failWith(explained, unanswered);
  }

  #failWith(error: SupervisorError, unanswered: readonly Unanswered[]): void {
    const mayHaveHappened = unanswered.some((one) => one.mayHaveHappened);
    this.#outlet.fail(
      error.withData({ mayHaveHappened }),
      unanswered.map(({ id }) => id),
    );
  }

  readonly #broke = (failure: SupervisorError): void => {
    this.#outlet.fail(failure, this.#message === undefined ? [] : [this.#message.id!]);
    this.#finish();
  };

  #begin(): void {
    if (this.#isStream || this.#outlet.accepted === "json") return;
    clearTimeout(this.#timer);
    this.#isStream = true;
    beginStream(this.#outlet);
  }

  /** Nothing more is said to the client but what the caller says. Returns what has no answer. */
  #finish(why?: Promise<string>): Unanswered[] {
    const state = this.#state;
    this.#state = { kind: "over" };
    clearTimeout(this.#timer);
    this.#comeBack.cancel();
    this.#server.instance.usage.followers.delete(this);
    this.#unread.close();
    const unanswered = this.#inFlight.drainUnanswered(undefined, why);
    // The child is told, where it has not answered.
    if (state.kind === "sent") state.link.close();
    return unanswered;
  }
}

const reset = (): SupervisorError =>
  new SupervisorError("UPSTREAM_RESET", "the child ended the request");
