import { unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { cancelledBy } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest, isResponse } from "../mcp/envelope.ts";
import type { AnswerOutcome, Message } from "../mcp/envelope.ts";
import { valueAt } from "../mcp/json-span.ts";
import { inTurns } from "../platform/in-turns.ts";
import type { IdleHolds } from "./idle-holds.ts";
import type { Usage } from "../instances/supervisor.ts";
import { noteUnanswerable } from "./calls.ts";
import type { CallOutcome, CallWatch, OpenCall } from "./calls.ts";
import { LazyMap } from "../platform/lazy.ts";

/** What a request means for the instance: a ping asks nothing of the server, `initialize` says nothing of how well it does. */
type Kind = "ping" | "initialize" | "call";

const kindOf = (method: string | undefined): Kind =>
  method === "ping" || method === "initialize" ? method : "call";

/** Of the requests of one session that could be sent again; what is beyond that is answered with an error where its child ends. */
const MAX_KEPT_BYTES = 8 * 1024 * 1024;

/** The methods whose answers a session remembers something of. */
const NOTED = new Set([
  "initialize",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
]);

/** Whom a request was handed to: it counts what it has to answer still. */
export interface Carrier {
  begin(): void;
  end(): void;
}

/** For a listener, who has no answer coming: no generation that is replaced waits for it. */
export const NOT_COUNTED: Carrier = { begin() {}, end() {} };

/** A request that waits for an answer. */
export interface Open {
  readonly kind: Kind;
  readonly watch: CallWatch | undefined;
  /** As it was sent; undefined where so much waits that it is not kept. */
  readonly message: ClientMessage | undefined;
  /** The client's headers of its POST. */
  readonly headers: readonly string[];
  readonly method: string;
  /** Something of its answer, or of its progress, is remembered. */
  readonly isNoted: boolean;
  /** Of one that may be sent again: its progress token, as JSON text. */
  readonly token: string | undefined;
  /** The progress that its client was shown last. */
  progress: number | undefined;
  /** Who has it now; undefined while it waits for the next generation. */
  carrier: Carrier | undefined;
  /** How often it was sent. */
  sends: number;
  /** Who has it now has certainly read nothing of it. */
  isUnread: boolean;
  /** One that had it may have done what it asks, and will not answer. */
  mayHaveHappened: boolean;
}

/** A request that nobody will answer any more: its id, as JSON text, and who wants to know. */
export interface Unanswered {
  readonly id: string;
  readonly watch: CallWatch | undefined;
  /** Whether the server may have done what it asks; undefined where nobody can say what became of it. */
  readonly mayHaveHappened?: boolean;
}

/** The requests of one session that wait for an answer, by id. Counts them into the instance's usage. */
export class InFlight {
  readonly #open = new LazyMap<string, Open>();
  /** Those that call a tool, for whoever wants to know what became of them. */
  readonly #calls = new LazyMap<string, OpenCall>();
  readonly #byToken = new LazyMap<string, string>();
  readonly #usage: Usage;
  #noted = 0;
  /** Of an answer that comes in pieces. */
  #bytesSeen = 0;
  #keptBytes = 0;
  readonly #holds: IdleHolds | undefined;
  readonly #mayRepeat: (method: string) => boolean;

  /**
   * `holds` is for messages of a session, which may leave behind what keeps the child; `mayRepeat`
   * tells which methods may be sent again, by whatever else that hangs on.
   */
  constructor(
    usage: Usage,
    holds?: IdleHolds,
    mayRepeat: (method: string) => boolean = () => false,
  ) {
    this.#usage = usage;
    this.#holds = holds;
    this.#mayRepeat = mayRepeat;
  }

  get size(): number {
    return this.#open.size;
  }

  find(id: string): Open | undefined {
    return this.#open.get(id);
  }

  /** Something of an answer that is to come, or of its progress, is remembered. */
  get hasNoted(): boolean {
    return this.#noted > 0;
  }

  /** The request that may be sent again whose progress token this is. */
  findByToken(token: unknown): Open | undefined {
    const id = this.#byToken.get(JSON.stringify(token) ?? "");
    return id === undefined ? undefined : this.#open.get(id);
  }

  /** Of all that wait for an answer. */
  get idsOpen(): string[] {
    return [...this.#open.keys()];
  }

  /** Those that wait for the next generation, the oldest first. */
  waiting(): [id: string, open: Open][] {
    return [...this.#open].filter(([, { carrier }]) => carrier === undefined);
  }

  /** The ids of those that this one has to answer. */
  idsOf(carrier: Carrier): string[] {
    const ids: string[] = [];
    for (const [id, open] of this.#open) if (open.carrier === carrier) ids.push(id);
    return ids;
  }

  /** Rejects with REQUEST_INVALID an id in use: two answers under it could not be told apart (JSON-RPC), nor two calls. */
  requireFree(messages: readonly Message[]): void {
    if (messages.length > 1 && hasIdTwice(messages))
      throw new SupervisorError("REQUEST_INVALID", "two requests of the batch have the same id");
    for (const message of messages)
      if (isRequest(message) && this.#open.has(message.id!))
        throw new SupervisorError("REQUEST_INVALID", "a request with this id is under way");
  }

  /** Takes note of what the client sends, before it is sent: the answer may overtake the POST's own. */
  sent(
    messages: readonly ClientMessage[],
    watch?: CallWatch,
    carrier?: Carrier,
    headers: readonly string[] = [],
  ): void {
    this.#holds?.sent(messages);
    for (const message of messages) {
      if (isRequest(message)) this.#add(message, watch, carrier, headers);
      else if (message.method === "notifications/cancelled") this.#cancel(message);
      else if (watch !== undefined) noteUnanswerable(message, watch);
    }
  }

  /** Who has the request will not answer it, and has read nothing of it where it `isUnread`. It is drained then, or waits for the next generation. */
  lost(open: Open, isUnread: boolean): void {
    open.isUnread = isUnread;
    if (!isUnread) open.mayHaveHappened = true;
  }

  /** The request waits for the next generation. */
  await(open: Open): void {
    const { carrier } = open;
    open.carrier = undefined;
    carrier?.end();
  }

  /** A request that waited goes out to this one. */
  sentAgain(open: Open, carrier: Carrier): void {
    open.carrier = carrier;
    open.isUnread = false;
    open.sends += 1;
    carrier.begin();
  }

  /** Takes note of what the server sends, in so many bytes beside those that `saw` had. */
  received(messages: readonly Message[], bytes: number): void {
    this.#holds?.received(messages);
    let isAsked = false;
    for (const message of messages) {
      if (!isResponse(message)) continue;
      isAsked ||= this.#open.has(message.id!);
      this.#endCall(message.id!, message.outcome ?? "ok", this.#bytesSeen + bytes);
      this.#end(message.id!, "answered");
    }
    if (isAsked) this.#usage.answeredBytes += this.#bytesSeen + bytes;
    this.#bytesSeen = 0;
  }

  /** The request gets an error of ours in the place of its answer. Returns who wants to know. */
  failed(id: string): CallWatch | undefined {
    const watch = this.#open.get(id)?.watch;
    this.#endCall(id, "error");
    this.#end(id, "answered");
    return watch;
  }

  /** Takes note of a piece of an event that goes on. */
  saw(bytes: number): void {
    this.#bytesSeen += bytes;
  }

  /** Takes note of a piece of a body that answers these. */
  sawOfBody(messages: readonly Message[], bytes: number): void {
    const isAsked = messages.some(({ id }) => id !== undefined && this.#open.has(id));
    if (isAsked) this.#usage.answeredBytes += bytes;
  }

  /** The server has answered these in one body of so many bytes; `answers` are those in it that were looked at. */
  answered(messages: readonly Message[], answers: readonly Message[], bytes: number): void {
    this.#holds?.received(answers);
    for (const message of messages) {
      if (!isRequest(message)) continue;
      this.#endCall(message.id!, outcomeIn(answers, message.id!), bytes);
      this.#end(message.id!, "answered");
    }
  }

  /** Forgets requests that the server refused to take: they were no use of it. Returns those that were under way still. */
  refused(messages: readonly Message[]): string[] {
    const ids: string[] = [];
    for (const message of messages) {
      if (!isRequest(message)) continue;
      if (this.#open.has(message.id!)) ids.push(message.id!);
      this.#endCall(message.id!, "refused");
      this.#end(message.id!, "refused");
    }
    return ids;
  }

  /** The ids that nobody will answer any more, as JSON text; forgets them. */
  drain(): string[] {
    return this.drainUnanswered().map(({ id }) => id);
  }

  /** As `drain`, with who wants to know, and of these ids alone where they are given; `why` becomes known a moment later. */
  drainUnanswered(
    ids: readonly string[] = [...this.#open.keys()],
    why?: Promise<string>,
  ): Unanswered[] {
    const unanswered: Unanswered[] = [];
    const calls: OpenCall[] = [];
    for (const id of ids) {
      const open = this.#open.get(id);
      if (open === undefined) continue;
      const mayHaveHappened =
        open.mayHaveHappened || (open.carrier !== undefined && !open.isUnread);
      const call = this.#calls.get(id);
      if (call !== undefined) calls.push(call);
      this.#calls.delete(id);
      this.#end(id, "given up");
      unanswered.push({ id, watch: open.watch, mayHaveHappened });
    }
    // Thousands may end at once, and each has a row in the records.
    const tell = (reason?: string): Promise<void> =>
      inTurns(calls, (call) => call.end("lost", 0, reason));
    if (calls.length > 0)
      unawaited("request", () => {}, why === undefined ? tell() : why.then(tell));
    return unanswered;
  }

  #add(
    message: ClientMessage,
    watch: CallWatch | undefined,
    carrier: Carrier | undefined,
    headers: readonly string[],
  ): void {
    const { id, method, tool, raw } = message;
    const kind = kindOf(method);
    if (this.#open.has(id!)) return;
    const isKept = carrier !== undefined && this.#keptBytes + raw.length <= MAX_KEPT_BYTES;
    if (isKept) this.#keptBytes += raw.length;
    const token = isKept && this.#mayRepeat(method!) ? tokenIn(message) : undefined;
    const isNoted = token !== undefined || NOTED.has(method!);
    if (isNoted) this.#noted += 1;
    if (token !== undefined) this.#byToken.set(token, id!);
    this.#open.set(id!, {
      kind,
      watch,
      message: isKept ? message : undefined,
      headers,
      method: method!,
      isNoted,
      token,
      progress: undefined,
      carrier,
      sends: 1,
      isUnread: false,
      mayHaveHappened: false,
    });
    carrier?.begin();
    if (tool !== undefined && watch !== undefined) this.#calls.set(id!, watch.begin(tool));
    if (kind !== "ping") this.#usage.inFlight += 1;
  }

  #endCall(id: string, outcome: CallOutcome, bytesOut = 0): void {
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    call.end(outcome, bytesOut);
  }

  #end(id: string, how: "answered" | "refused" | "given up"): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const { kind, message, carrier, isNoted, token } = open;
    this.#open.delete(id);
    if (message !== undefined) this.#keptBytes -= message.raw.length;
    if (isNoted) this.#noted -= 1;
    if (token !== undefined && this.#byToken.get(token) === id) this.#byToken.delete(token);
    carrier?.end();
    if (kind === "ping") return;
    this.#usage.inFlight -= 1;
    // At the end, not at the start: until then the call itself keeps the child.
    if (how !== "refused") this.#usage.lastMessageAt = performance.now();
    if (how === "answered" && kind === "call") this.#usage.answered += 1;
  }

  /** A cancelled request gets no answer (MCP, cancellation), so waiting for one would never end. */
  #cancel(message: ClientMessage): void {
    const id = cancelledBy(message) ?? "";
    this.#endCall(id, "cancelled");
    this.#end(id, "given up");
  }
}

/** What a body says of the request of that id; the only answer is its answer. */
function outcomeIn(answers: readonly Message[], id: string): AnswerOutcome {
  const ours = answers.length === 1 ? answers[0] : answers.find((answer) => answer.id === id);
  return ours?.outcome ?? "ok";
}

/** The progress token of a request, as JSON text. */
function tokenIn(message: ClientMessage): string | undefined {
  const span = message.find(["params", "_meta", "progressToken"]);
  return span && JSON.stringify(valueAt(message.raw, span));
}

function hasIdTwice(messages: readonly Message[]): boolean {
  const ids = messages.filter(isRequest).map(({ id }) => id);
  return new Set(ids).size < ids.length;
}
