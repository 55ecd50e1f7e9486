import { unawaited } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import { cancelledBy } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idAt, isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { leftText, notificationText, pongText } from "../mcp/messages.ts";
import { refusalText, requestText, resultBytes } from "../mcp/messages.ts";
import { locate, splice, textAt, valueAt } from "../mcp/json-span.ts";
import type { Span } from "../mcp/json-span.ts";
import { outcomeOf } from "../mcp/outcome.ts";
import { Handshake, negotiated } from "./handshake.ts";
import type { HandshakeOptions } from "./handshake.ts";
import { inTurns } from "../platform/in-turns.ts";
import { LogLevels } from "./log-levels.ts";
import { Offers } from "./offers.ts";
import { OpenCalls } from "./open-calls.ts";
import type { OpenCall } from "./open-calls.ts";
import { OwnIds, numberIn, numberOf } from "./own-ids.ts";
import { Questions } from "./questions.ts";
import type { QuestionsOptions } from "./questions.ts";
import { StdioPipe } from "./stdio-pipe.ts";
import type { ChildPipes, Incoming } from "./stdio-pipe.ts";
import type { StdioClient } from "./stdio-client.ts";
import { Subscriptions } from "./subscriptions.ts";

export interface SharedStdioOptions
  extends
    ChildPipes,
    HandshakeOptions,
    Pick<QuestionsOptions<StdioClient>, "isOwn" | "resumeWindowMs"> {}

type Call = OpenCall<StdioClient>;
type Change = readonly [Span, string];

const ACCEPTED = Buffer.from("{}");
const DONE = Promise.resolve();

/**
 * One stdio child: a session's own, or one that many share, each as if it were alone.
 *
 * The child is initialised once; every session gets that answer with its own negotiated version. Ids
 * and progress tokens are replaced on the way in and put back on the way out, as bytes, so that
 * sessions with the same ids (all SDKs count from 0) never get each other's answers.
 */
export class SharedStdio {
  readonly #options: SharedStdioOptions;
  readonly #pipe: StdioPipe;
  readonly #clients = new Set<StdioClient>();
  readonly #calls = new OpenCalls<StdioClient>();
  readonly #questions: Questions<StdioClient>;
  readonly #subscriptions = new Subscriptions<StdioClient>();
  readonly #levels = new LogLevels<StdioClient>();
  #hasAskedRoots = false;
  #isGreeted = false;
  #isEnded = false;
  readonly #ids: OwnIds;
  readonly #handshake: Handshake;

  constructor(options: SharedStdioOptions) {
    this.#options = options;
    this.#ids = new OwnIds(options.onFault, options.idsAfter);
    this.#handshake = new Handshake(options, this.#ids);
    const [sessions, calls] = [this.#clients, this.#calls];
    this.#questions = new Questions({ ...options, sessions, calls });
    this.#pipe = new StdioPipe({
      ...options,
      onMessage: this.#onMessage,
      onDropped: (message, error) => this.#onDropped(message, error),
    });
  }

  /** Resolves when the child has answered `initialize`. Rejects with UPSTREAM_INVALID when it refuses all offers. */
  async initialize(offers = new Offers()): Promise<void> {
    await this.#handshake.make(offers, (message) => this.#pipe.write(message));
    if (!this.#options.isOwn) this.#greet();
  }

  /** The child has answered `initialize` to an earlier daemon, with that result. */
  takeUp(greeting: Buffer): void {
    this.#handshake.resume(greeting);
    this.#isGreeted = true;
  }

  /** The result of its `initialize`. */
  get greeting(): Buffer {
    return this.#handshake.result;
  }

  /** A place for a session. */
  open(client: StdioClient): void {
    // It may have ended between its readiness and this session's turn.
    if (!this.#isEnded) this.#clients.add(client);
    if (this.#clients.size > 1) this.#pipe.resume();
  }

  /** Lets the child wait for its session to read, where it has one alone. */
  pause(): void {
    if (this.#clients.size === 1) this.#pipe.pause();
  }

  resume(): void {
    this.#pipe.resume();
  }

  /** The calls of the session that wait for their turn, or that the child has certainly not read, by its ids. */
  unsent(client: StdioClient): readonly string[] {
    const { unread } = this.#pipe;
    const waiting = this.#questions.turns.waiting(client);
    return unread.size === 0 ? waiting : [...waiting, ...this.#calls.of(client, unread)];
  }

  /** The child has ended; its sessions hear of it from their generation. */
  end(): void {
    this.#isEnded = true;
    this.#pipe.end();
    this.#questions.end();
    this.#clients.clear();
  }

  /** The session is over: what it had under way is cancelled, what it was asked is refused. */
  close(client: StdioClient): void {
    if (!this.#clients.delete(client)) return;
    this.#pipe.resume();
    const left = inTurns(this.#calls.leave(client), (id) => this.#leave(id));
    unawaited("child", this.#options.onBroken, left);
    for (const id of this.#questions.leave(client)) this.#refuse(id);
    for (const uri of this.#subscriptions.deleteAll(client))
      this.#ask("resources/unsubscribe", { uri });
    this.#levels.delete(client);
  }

  #leave(id: number): void {
    const call = this.#calls.get(id);
    // Answered meanwhile, or never to be.
    if (call === undefined || this.#isEnded) return;
    this.#cancel(id, call, undefined);
    this.#tell(leftText(id));
  }

  /** Takes one message of a session. Rejects with UPSTREAM_RESET when the child has closed its input. */
  send(client: StdioClient, message: ClientMessage): Promise<void> {
    if (!this.#isGreeted && message.method !== "initialize" && message.method !== "ping")
      this.#greet();
    // From here to the pipe nothing is async: a promise a step would cost more than the steps.
    if (isRequest(message)) return this.#request(client, message);
    if (isResponse(message)) return this.#response(client, message);
    return this.#notification(client, message);
  }

  #request(client: StdioClient, message: ClientMessage): Promise<void> {
    const { raw } = message;
    const answer = (result: Buffer): Promise<void> => {
      this.#answer(client, message, result);
      return DONE;
    };
    switch (message.method!) {
      case "initialize":
        return answer(negotiated(this.greeting, message));
      case "logging/setLevel": {
        const level = message.find(["params", "level"]);
        const news = this.#levels.set(client, level && valueAt(raw, level));
        if (news === undefined) return answer(ACCEPTED);
        if (news === "as asked") return this.#forward(client, message);
        return this.#forward(client, message, [level!, JSON.stringify(news.lowest)]);
      }
      case "resources/subscribe":
      case "resources/unsubscribe": {
        const uri = message.find(["params", "uri"]);
        const isNews = this.#subscriptions.change(
          client,
          uri && valueAt(raw, uri),
          message.method === "resources/subscribe",
        );
        return isNews ? this.#forward(client, message) : answer(ACCEPTED);
      }
      default:
        return this.#forward(client, message);
    }
  }

  /** `change` is made to the message beside those that make it this child's. */
  #forward(client: StdioClient, message: ClientMessage, change?: Change): Promise<void> {
    if (!this.#questions.needsTurn(client, message.method!))
      return this.#write(client, message, false, change);
    // Taken at once, sent when its turn comes: a client may not wait long for its POST to be accepted.
    this.#questions.turns.enter(client, message.id!, () => {
      // A child that has closed its input has ended or is about to; its exit tells everybody.
      this.#write(client, message, true).catch(() => {});
    });
    return DONE;
  }

  #write(
    client: StdioClient,
    message: ClientMessage,
    hasTurn: boolean,
    change?: Change,
  ): Promise<void> {
    const { raw } = message;
    const hubId = this.#ids.next();
    const idSpan = message.find(["id"])!;
    const token = message.find(["params", "_meta", "progressToken"]);
    this.#calls.add(hubId, {
      client,
      id: message.id!,
      rawId: textAt(raw, idSpan),
      progressToken: token && textAt(raw, token),
      hasTurn,
    });
    const changes: Change[] = [[idSpan, String(hubId)]];
    if (token !== undefined) changes.push([token, String(hubId)]);
    if (change !== undefined) changes.push(change);
    if (changes.length > 1) changes.sort(([a], [b]) => a.start - b.start);
    return this.#pipe.write(splice(raw, changes), hubId);
  }

  async #response(client: StdioClient, { raw, id }: ClientMessage): Promise<void> {
    if (this.#questions.accept(id!, client)) await this.#pipe.write(raw);
  }

  async #notification(client: StdioClient, message: ClientMessage): Promise<void> {
    const { method, raw } = message;
    if (method === "notifications/initialized") return this.#join(client);
    if (method !== "notifications/cancelled") return await this.#pipe.write(raw);
    const id = cancelledBy(message);
    if (id === undefined) return;
    this.#questions.turns.withdraw(client, id);
    const hubId = this.#calls.find(client, id);
    if (hubId === undefined) return;
    this.#cancel(hubId, this.#calls.get(hubId)!, client);
    const span = message.find(["params", "requestId"])!;
    await this.#pipe.write(splice(raw, [[span, String(hubId)]]));
  }

  /** A server asks no client that has not said so; on its own child the session says it itself. */
  #greet(): void {
    if (this.#isGreeted) return;
    this.#isGreeted = true;
    this.#tell(notificationText("notifications/initialized"));
  }

  /** A shared child knows that a client came once only; it asks the latest for its roots if it is told that they changed. */
  #join({ askable }: StdioClient): void {
    if (!this.#hasAskedRoots || this.#options.isOwn || !askable.has("roots")) return;
    this.#tell(notificationText("notifications/roots/list_changed"));
  }

  readonly #onMessage = (incoming: Incoming): void => {
    const { value } = incoming;
    if (value.method === undefined) this.#onAnswer(incoming);
    else if (value.id !== undefined && value.id !== null) this.#onRequest(incoming);
    else this.#onNotification(incoming);
  };

  #onAnswer(incoming: Incoming): void {
    if (this.#handshake.takes(incoming)) return;
    const { raw, value } = incoming;
    const hubId = numberOf(value.id);
    const call = this.#callOf(hubId);
    if (call === undefined) {
      // It may answer what was cancelled, or what we asked on nobody's behalf.
      this.#questions.answered(hubId);
      this.#ids.unclaimed(hubId, raw);
      return;
    }
    this.#pipe.wasAsked(raw.length);
    this.#endCall(hubId!, call);
    const answer = splice(raw, [[locate(raw, ["id"])!, call.rawId]]);
    const outcome = outcomeOf(raw);
    const seen = { id: call.id, method: undefined };
    call.client.receive(answer, call.id, outcome === "ok" ? seen : { ...seen, outcome });
  }

  #onDropped({ id, method }: Message, error: SupervisorError): void {
    if (method !== undefined) return id === undefined ? undefined : this.#refuse(id, error.message);
    const hubId = numberIn(id);
    const call = this.#callOf(hubId);
    if (call === undefined) return this.#questions.answered(hubId);
    this.#endCall(hubId!, call);
    call.client.dropped(call.id, error);
  }

  #onRequest({ raw, value }: Incoming): void {
    const id = idAt(raw, ["id"])!;
    if (value.method === "ping") {
      this.#tell(pongText(id));
      return;
    }
    if (value.method === "roots/list") this.#hasAskedRoots = true;
    const client = this.#questions.ask(id, value.method ?? "");
    if (client === undefined) return this.#refuse(id);
    client.receive(raw, undefined);
  }

  #onNotification({ raw, value }: Incoming): void {
    switch (value.method ?? "") {
      case "notifications/progress": {
        const call = this.#callOf(numberOf(value.params?.["progressToken"]));
        if (call?.progressToken === undefined) return;
        const span = locate(raw, ["params", "progressToken"])!;
        return call.client.receive(splice(raw, [[span, call.progressToken]]), call.id);
      }
      case "notifications/cancelled": {
        const id = idAt(raw, ["params", "requestId"]) ?? "";
        this.#questions.withdraw(id)?.receive(raw, undefined);
        return;
      }
      case "notifications/resources/updated":
        for (const client of this.#subscriptions.of(value.params?.["uri"]))
          client.receive(raw, undefined);
        return;
      case "notifications/message":
        for (const client of this.#clients) {
          if (this.#levels.wants(client, value.params?.["level"])) client.receive(raw, undefined);
        }
        return;
      default:
        for (const client of this.#clients) client.receive(raw, undefined);
    }
  }

  #callOf(hubId: number | undefined): Call | undefined {
    return hubId === undefined ? undefined : this.#calls.get(hubId);
  }

  #answer(client: StdioClient, message: ClientMessage, result: Buffer): void {
    const rawId = textAt(message.raw, message.find(["id"])!);
    client.receive(resultBytes(rawId, result), message.id);
  }

  #endCall(hubId: number, call: Call): void {
    this.#calls.delete(hubId);
    if (call.hasTurn) this.#questions.turns.leave();
  }

  #cancel(hubId: number, { hasTurn }: Call, client: StdioClient | undefined): void {
    this.#calls.delete(hubId);
    this.#questions.cancelled(hubId, client, hasTurn);
  }

  #refuse(id: string, message = "no client is there to answer"): void {
    this.#tell(refusalText(id, message));
  }

  /** A request of our own, whose answer nobody waits for. */
  #ask(method: string, params: object): void {
    this.#tell(requestText(this.#ids.next(), method, JSON.stringify(params)));
  }

  #tell(text: string): void {
    // A child that has closed its input has ended or is about to; its exit tells everybody.
    this.#pipe.write(Buffer.from(text)).catch(() => {});
  }
}
