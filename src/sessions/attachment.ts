import { randomBytes } from "node:crypto";
import { unheard } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Live } from "../instances/supervisor.ts";
import type { Link, Listener } from "../links/link.ts";
import { ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { elementsOf, locate, splice, valueAt } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";
import { notificationText, requestText } from "../mcp/messages.ts";
import { messagesIn } from "../mcp/outcome.ts";
import type { EventPart } from "../mcp/sse.ts";
import { EventFilter } from "./event-filter.ts";
import type { Front } from "./front.ts";
import type { Carrier, InFlight } from "./in-flight.ts";
import { Labels } from "./labels.ts";
import type { SessionMemory } from "./session-memory.ts";
import { LazyMap, LazySet } from "../platform/lazy.ts";

/** Questions of one server that a session can have open; whatever is beyond that is not taken back when the server ends. */
const MAX_QUESTIONS = 1_000;
const OWN_HEADERS = [
  "content-type",
  "application/json",
  "accept",
  "application/json, text/event-stream",
];
/** No client's ids begin like this. */
const OWN_IDS = `mcp-supervisor ${randomBytes(6).toString("hex")} `;
let lastOwnId = 0;

/** An answer to a question of the gateway's own. */
interface Ask {
  readonly resolve: (answer: Text) => void;
  readonly reject: (error: SupervisorError) => void;
}

/** What it has of its session. */
interface Own {
  readonly front: Front;
  readonly inFlight: InFlight;
  readonly memory: SessionMemory;
  /** It drains, and what it had to answer is answered. */
  readonly onDrained: () => void;
  /** Something of ours threw where nobody waits for it. */
  readonly onBroke: (failure: SupervisorError) => void;
}

/**
 * A session's place on one generation of its server: what it says there, what it has to answer still,
 * what it asked of the client. A session has one that takes messages, and may have others that drain.
 */
export class Attachment implements Listener, Carrier {
  readonly live: Live;
  readonly epoch: number;
  readonly labels: Labels;
  readonly onPart?: (part: EventPart) => void;
  /** Ids of requests that the link could not hand on. */
  readonly refused = new LazySet<string>();
  /** The server was told that the client is there, by the gateway. */
  isGreeted = false;
  /** It serves no more; see `end`. */
  isOver = false;
  readonly #own: Own;
  readonly #asks = new LazyMap<string, Ask>();
  /** What the server asked the client and has no answer to, by the ids that the client knows. */
  readonly #questions = new LazySet<string>();
  #link: Link | undefined;
  #calls = 0;
  #isDraining = false;
  #isKept = false;
  /** Takes back that it wants to hear of the generation's end. */
  unwatch = (): void => {};

  /** `epoch` is 0 for the first of a session, whose ids pass as they are. */
  constructor(live: Live, epoch: number, own: Own) {
    const { front } = own;
    this.#own = own;
    this.live = live;
    this.epoch = epoch;
    this.labels = new Labels(epoch);
    if (front.onPart === undefined) return;
    this.onPart = this.passage(front.onPart.bind(front));
  }

  /** The way of the events of one stream: to `pass` as they are, or changed, or not at all. */
  passage(pass: (part: EventPart) => void): (part: EventPart) => void {
    let filter: EventFilter | undefined;
    return (part) => {
      if (this.isOver) return;
      if (!this.#isPlain || filter?.isHolding === true) {
        filter ??= new EventFilter(pass, (message, read) => this.#sort(message, read));
        return filter.push(part);
      }
      for (const message of part.messages) if (isRequest(message)) this.#asked(message.id!);
      pass(part);
    };
  }

  /** A body that holds nothing but answers has come, and has been passed on. */
  onBody(body: Buffer): void {
    const spans = elementsOf(body) ?? [{ start: 0, end: body.length }];
    for (const { start, end } of spans) {
      const raw = body.subarray(start, end);
      const [message] = messagesIn(raw);
      if (message !== undefined && isResponse(message)) this.#sortAnswer(message, () => raw);
    }
  }

  /** Throws INTERNAL before it is there. */
  get link(): Link {
    if (this.#link === undefined) throw new SupervisorError("INTERNAL", "there is no link yet");
    return this.#link;
  }

  get hasLink(): boolean {
    return this.#link !== undefined;
  }

  /** Ids of requests of which nothing was handed to the server. */
  get unsent(): ReadonlySet<string> {
    return new Set([...this.refused, ...(this.#link?.unsent() ?? [])]);
  }

  /** The generation is not to end, in good order, before the session does. */
  keep(): void {
    this.#isKept = true;
    this.live.work.begin();
  }

  use(link: Link): void {
    this.#link = link;
  }

  /** It takes no new message: from now on only what belongs to its calls is passed on. */
  drain(): void {
    this.#isDraining = true;
    if (this.#calls === 0) this.#own.onDrained();
  }

  begin(): void {
    this.#calls += 1;
    this.live.work.begin();
  }

  end(): void {
    this.#calls -= 1;
    this.live.work.end();
    if (this.#isDraining && this.#calls === 0 && !this.isOver) this.#own.onDrained();
  }

  /** It is over. Returns the questions that the client is not to answer any more, by the ids it knows. */
  finish(error: SupervisorError): string[] {
    this.isOver = true;
    this.unwatch();
    if (this.#isKept) this.live.work.end();
    for (const { reject } of this.#asks.values()) reject(error);
    this.#asks.clear();
    const questions = [...this.#questions];
    this.#questions.clear();
    return questions;
  }

  /**
   * Asks the server something of the gateway's own. Resolves with the whole answer, an error too, which
   * nobody else hears; rejects as `Link.post` does, and with UPSTREAM_RESET when it is over before.
   */
  async ask(method: string, params: string): Promise<Text> {
    const id = this.#nextId();
    return await this.#askFor(id, ownMessage(requestText(id, method, params), id, method));
  }

  /** As `ask`, with a request of the client's under another id. */
  async repeat(request: ClientMessage): Promise<Text> {
    const id = this.#nextId();
    const text = splice(request.raw, [[request.find(["id"])!, id]]);
    return await this.#askFor(id, ownMessage(text.toString(), id, request.method));
  }

  /** As `repeat`, where the answer changes nothing: a log level that it refuses now is its own affair. */
  repeatUnheard(request: ClientMessage): void {
    unheard("session", this.#own.onBroke, this.repeat(request));
  }

  /** Tells the server something that has no answer. Rejects as `Link.post` does. */
  async tell(message: ClientMessage): Promise<void> {
    const { raw: body } = message;
    await this.link.post({ body, messages: [message], headers: OWN_HEADERS });
  }

  /** As `tell`, where a server that is gone needs to hear none of it. */
  tellUnheard(message: ClientMessage): void {
    unheard("session", this.#own.onBroke, this.tell(message));
  }

  /** Of the client, for this server: as that knows it; undefined where it has no use for it. */
  outgoing(message: ClientMessage): ClientMessage | undefined {
    if (isResponse(message)) this.#questions.delete(message.id!);
    return this.labels.remove(message);
  }

  onMessage(raw: Text, about: string | undefined, known?: Message): void {
    if (this.isOver) return;
    const message = known ?? messagesIn(raw)[0];
    if (message === undefined) return;
    const verdict = this.#sort(message, () => raw);
    if (verdict === "pass") this.#own.front.onMessage(raw, about, message);
    else if (verdict !== "drop") this.#own.front.onMessage(verdict, about);
  }

  onDropped(id: string, error: SupervisorError): void {
    const ask = this.#asks.get(id);
    this.#asks.delete(id);
    if (ask !== undefined) ask.reject(error);
    else if (!this.isOver && this.#isCarrierOf(id)) this.#own.front.onDropped(id, error);
  }

  /** All that the server says passes as it is, and nothing of it is remembered. */
  get #isPlain(): boolean {
    const { inFlight } = this.#own;
    return this.epoch === 0 && this.#asks.size === 0 && !this.#isDraining && !inFlight.hasNoted;
  }

  /** What becomes of a message of the server: passed on as it is, or as another text, or not. */
  #sort(message: Message, read: () => Text): Text | "pass" | "drop" {
    if (isResponse(message)) return this.#sortAnswer(message, read);
    if (this.#isDraining && (this.#calls === 0 || !isOfCalls(message))) return "drop";
    if (isRequest(message)) return this.#sortQuestion(message, read);
    if (message.method === "notifications/cancelled") return this.#sortCancelled(read);
    if (message.method !== "notifications/progress" || !this.#own.inFlight.hasNoted) return "pass";
    return this.#isNewProgress(read()) ? "pass" : "drop";
  }

  #sortAnswer({ id, outcome }: Message, read: () => Text): "pass" | "drop" {
    const ask = this.#asks.get(id!);
    if (ask !== undefined) {
      this.#asks.delete(id!);
      ask.resolve(read());
      return "drop";
    }
    const { inFlight, memory } = this.#own;
    const open = inFlight.find(id!);
    // Nobody's request of ours: a relay passes what it does not understand.
    if (open === undefined) return this.#isDraining || this.epoch > 0 ? "drop" : "pass";
    if (open.carrier !== this) return "drop";
    if (open.isNoted) memory.answered(open.message, read(), outcome);
    return "pass";
  }

  #sortQuestion(message: Message, read: () => Text): Text | "pass" {
    if (this.epoch === 0) {
      this.#asked(message.id!);
      return "pass";
    }
    const [id, text] = this.labels.add(read());
    this.#asked(id);
    return text;
  }

  #sortCancelled(read: () => Text): Text | "pass" {
    if (this.epoch === 0 && this.#questions.size === 0) return "pass";
    const [id, text] = this.labels.addToCancelled(read());
    this.#questions.delete(id);
    return text;
  }

  /** A call that was sent again tells its progress from the beginning; the client has seen that. */
  #isNewProgress(raw: Text): boolean {
    const at = (key: string): unknown => {
      const span = locate(raw, ["params", key]);
      return span && valueAt(raw, span);
    };
    const open = this.#own.inFlight.findByToken(at("progressToken"));
    const progress = at("progress");
    if (open === undefined || typeof progress !== "number") return true;
    if (open.carrier !== this) return false;
    if (open.sends > 1 && open.progress !== undefined && progress <= open.progress) return false;
    open.progress = progress;
    return true;
  }

  #isCarrierOf(id: string): boolean {
    const open = this.#own.inFlight.find(id);
    return open === undefined || open.carrier === this;
  }

  #asked(id: string): void {
    if (this.#questions.size < MAX_QUESTIONS) this.#questions.add(id);
  }

  #nextId(): string {
    lastOwnId += 1;
    return JSON.stringify(OWN_IDS + String(lastOwnId));
  }

  async #askFor(id: string, message: ClientMessage): Promise<Text> {
    const answer = new Promise<Text>((resolve, reject) => this.#asks.set(id, { resolve, reject }));
    // It may be rejected before the POST that asks is taken.
    answer.catch(() => {});
    try {
      const { raw: body } = message;
      const { status } = await this.link.post({ body, messages: [message], headers: OWN_HEADERS });
      if (status >= 300)
        throw new SupervisorError(
          "UPSTREAM_INVALID",
          `the server answered the message with ${status}`,
        );
    } catch (error) {
      this.#asks.delete(id);
      throw error;
    }
    return await answer;
  }
}

/** What a call of a generation that drains may still bring, beside its answer. */
const isOfCalls = ({ id, method }: Message): boolean =>
  id !== undefined || method === "notifications/progress" || method === "notifications/cancelled";

/** Tells the client that a question waits for its answer no more. */
export const takenBackText = (id: string): string =>
  notificationText(
    "notifications/cancelled",
    `{"requestId":${id},"reason":"the server that asked is gone"}`,
  );
