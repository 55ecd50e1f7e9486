import { unawaited, unheard } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { withDeadline } from "../platform/deadline.ts";
import { ownCall, ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isPing, isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import {
  initializeText,
  leftText,
  notificationText,
  pongText,
  refusalText,
  requestText,
} from "../mcp/messages.ts";
import { messagesIn, outcomeOf } from "../mcp/outcome.ts";
import { OFFERED_VERSION } from "../mcp/versions.ts";
import type { Posting } from "../links/link.ts";
import { inTurns } from "../platform/in-turns.ts";
import type { CallWatch } from "./calls.ts";
import type { Front, TellAll } from "./front.ts";
import type { Unanswered } from "./in-flight.ts";
import type { Place } from "./serving.ts";
import { Session } from "./session.ts";
import type { SessionOptions } from "./session-options.ts";

/** What every link for calls begins with: the gateway can be asked nothing in their callers' place. */
export const helloOf = (version: string): ClientMessage =>
  ownMessage(initializeText(0, OFFERED_VERSION, "{}", version), "0", "initialize");

const INITIALIZED = "notifications/initialized";
const TOOLS_CHANGED = "notifications/tools/list_changed";

const alone = (message: ClientMessage): Posting => ({
  body: message.raw,
  messages: [message],
  headers: [],
});

/** A call of a tool. */
export interface ToolCall {
  readonly tool: string;
  /** JSON text of an object. */
  readonly args: Buffer;
  readonly watch: CallWatch;
  /** Aborted once nobody wants the answer any more: the server is told. */
  readonly signal: AbortSignal;
}

interface Waiter {
  readonly resolve: (answer: Text) => void;
  readonly reject: (error: SupervisorError) => void;
}

/**
 * A session whose client is the gateway itself, in the place of people who call tools without a
 * conversation: each answer goes to whoever asked, and nothing else that a server says is heard.
 */
export class CallFront implements Front {
  readonly session: Session;
  readonly cutOff = new SupervisorError(
    "UPSTREAM_RESET",
    "the server ended before it had answered",
  );
  /** Calls that are on their way, those that wait for a child included. */
  calls = 0;
  /** How often the server said that its tools are others now. */
  toolsChanges = 0;
  readonly #hello: ClientMessage;
  readonly #waiting = new Map<string, Waiter>();
  #lastId = 0;
  #greeting: Promise<void> | undefined;

  constructor(options: SessionOptions, place: Place, hello: ClientMessage) {
    this.session = new Session(options, this);
    this.session.begin(place);
    this.#hello = hello;
  }

  /**
   * Resolves when a call can go out at once. Rejects with what keeps the server from that, with
   * UPSTREAM_TIMEOUT where it has not greeted by then, after which the session is lost; nothing that
   * was asked has gone out.
   */
  async ready(withinMs: number): Promise<void> {
    await (this.#greeting ??= this.#greet(withinMs));
    await this.session.open();
  }

  /**
   * Resolves with the server's whole answer, an error too. Rejects as `Session.post` does, and where
   * none will come: `mayHaveHappened` in the data of the error says what is known of that.
   */
  async call({ tool, args, watch, signal }: ToolCall): Promise<Text> {
    return await this.#ask(ownCall(this.#nextId(), tool, args), signal, watch);
  }

  /** As `call`, for what changes nothing; `params` is JSON text. */
  async ask(method: string, params: string, signal: AbortSignal): Promise<Text> {
    const id = this.#nextId();
    return await this.#ask(ownMessage(requestText(id, method, params), id, method), signal);
  }

  #nextId(): string {
    this.#lastId += 1;
    return String(this.#lastId);
  }

  async #ask(message: ClientMessage, signal?: AbortSignal, watch?: CallWatch): Promise<Text> {
    const id = message.id!;
    if (signal?.aborted === true) throw hasLeft();
    this.session.lastUsedAt = performance.now();
    const { promise, resolve, reject } = Promise.withResolvers<Text>();
    this.#waiting.set(id, { resolve, reject });
    const cancel = (): void => this.#cancel(id);
    signal?.addEventListener("abort", cancel, { once: true });
    unawaited("session", reject, this.#send(message, watch));
    try {
      return await promise;
    } finally {
      this.#waiting.delete(id);
      signal?.removeEventListener("abort", cancel);
      this.session.lastUsedAt = performance.now();
    }
  }

  /** The user, the server or the daemon is on the way out: whoever waits is told. */
  close(error: SupervisorError): void {
    this.#rejectAll([...this.#waiting.keys()], error);
    this.session.close();
  }

  onMessage(raw: Text, _about: string | undefined, known?: Message): void {
    for (const message of known === undefined ? messagesIn(raw) : [known]) {
      this.session.serving?.inFlight.received([message], raw.length);
      if (isResponse(message)) this.#waiting.get(message.id!)?.resolve(raw);
      else if (isRequest(message)) this.#refuse(message);
      else if (message.method === TOOLS_CHANGED) this.toolsChanges += 1;
    }
  }

  onDropped(id: string, error: SupervisorError): void {
    this.session.serving?.inFlight.failed(id);
    this.#waiting.get(id)?.reject(error);
  }

  interrupt(unanswered: readonly Unanswered[]): TellAll | undefined {
    const failed = unanswered.flatMap(({ id, mayHaveHappened }) => {
      const waiter = this.#waiting.get(id);
      return waiter === undefined ? [] : [{ waiter, mayHaveHappened }];
    });
    if (failed.length === 0) return undefined;
    return (cause) =>
      inTurns(failed, ({ waiter, mayHaveHappened }) =>
        waiter.reject(mayHaveHappened === undefined ? cause : cause.withData({ mayHaveHappened })),
      );
  }

  /** There is no stream. */
  end(): void {
    this.#rejectAll([...this.#waiting.keys()], this.cutOff);
  }

  async #greet(withinMs: number): Promise<void> {
    try {
      const shown = this.session.sleeper.answer([this.#hello]);
      const answer =
        shown ?? (await withDeadline(this.#ask(this.#hello), withinMs, () => this.#late()));
      if (outcomeOf(answer) === "error")
        throw new SupervisorError("UPSTREAM_INVALID", "the server refused the session");
      const there = ownMessage(notificationText(INITIALIZED), undefined, INITIALIZED);
      await this.session.post(alone(there), undefined, () => {});
    } catch (error) {
      this.#greeting = undefined;
      throw error;
    }
  }

  /** A question that stays open keeps every other session from beginning over this one. */
  #late(): never {
    const error = new SupervisorError("UPSTREAM_TIMEOUT", "the server did not greet in time");
    this.session.giveUp(error);
    throw error;
  }

  async #send(message: ClientMessage, watch: CallWatch | undefined): Promise<void> {
    let isSent = false;
    try {
      const { status } = await this.session.post(alone(message), watch, () => (isSent = true));
      if (status >= 300) throw refusedWith(status);
    } catch (error) {
      // It may have been answered meanwhile, and that counts.
      if (isSent) this.session.serving?.inFlight.refused([message]);
      this.#waiting.get(message.id!)?.reject(toSupervisorError(error));
    }
  }

  #cancel(id: string): void {
    const waiter = this.#waiting.get(id);
    if (waiter === undefined) return;
    this.#waiting.delete(id);
    const cancelled = ownMessage(leftText(id), undefined, "notifications/cancelled");
    // A server that is gone need not hear it.
    const told = this.session.post(alone(cancelled), undefined, () => {});
    unheard("session", (failure) => this.session.giveUp(failure), told);
    waiter.reject(hasLeft());
  }

  /** Answers a question of the server's, which declared nothing can be asked here; a ping well. */
  #refuse(question: Message): void {
    const id = question.id!;
    const text = isPing(question)
      ? pongText(id)
      : refusalText(id, "there is nobody here who could be asked");
    const answer = ownMessage(text, id);
    this.session.serving?.inFlight.sent([answer]);
    this.session.tell(answer);
  }

  #rejectAll(ids: readonly string[], error: SupervisorError): void {
    for (const id of ids) this.#waiting.get(id)?.reject(error);
  }
}

const hasLeft = (): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", "the client has left");

const refusedWith = (status: number): SupervisorError =>
  new SupervisorError("UPSTREAM_INVALID", `the server answered the message with ${status}`);
