import { unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { cancelledBy } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { EnvelopeScanner, isRequest, isResponse } from "../mcp/envelope.ts";
import type { AnswerOutcome, Message } from "../mcp/envelope.ts";
import { inTurns } from "../platform/in-turns.ts";
import type { IdleHolds } from "./idle-holds.ts";
import type { Usage } from "../instances/supervisor.ts";
import { noteUnanswerable } from "./calls.ts";
import type { CallOutcome, CallWatch, OpenCall } from "./calls.ts";

/** What a request means for the instance: a ping asks nothing of the server, `initialize` says nothing of how well it does. */
type Kind = "ping" | "initialize" | "call";

const kindOf = (method: string | undefined): Kind =>
  method === "ping" || method === "initialize" ? method : "call";

interface Open {
  readonly kind: Kind;
  readonly watch: CallWatch | undefined;
}

/** A request that nobody will answer any more: its id, as JSON text, and who wants to know. */
export interface Unanswered {
  readonly id: string;
  readonly watch: CallWatch | undefined;
}

/** The requests of one session that wait for an answer, by id. Counts them into the instance's usage. */
export class InFlight {
  readonly #open = new Map<string, Open>();
  /** Those that call a tool, for whoever wants to know what became of them. */
  readonly #calls = new Map<string, OpenCall>();
  readonly #usage: Usage;
  /** Of an answer that comes in pieces. */
  #bytesSeen = 0;
  #scanner: EnvelopeScanner | undefined;
  readonly #holds: IdleHolds | undefined;

  /** `holds` is for messages of a session, which may leave behind what keeps the child. */
  constructor(usage: Usage, holds?: IdleHolds) {
    this.#usage = usage;
    this.#holds = holds;
  }

  get size(): number {
    return this.#open.size;
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
  sent(messages: readonly ClientMessage[], watch?: CallWatch): void {
    this.#holds?.sent(messages);
    for (const message of messages) {
      if (isRequest(message)) this.#add(message, watch);
      else if (message.method === "notifications/cancelled") this.#cancel(message);
      else if (watch !== undefined) noteUnanswerable(message, watch);
    }
  }

  /** Takes note of what the server sends, in so many bytes beside those that `saw` had. */
  received(messages: readonly Message[], bytes: number): void {
    this.#holds?.received(messages);
    for (const message of messages) {
      if (!isResponse(message)) continue;
      this.#endCall(message.id!, message.outcome ?? "ok", this.#bytesSeen + bytes);
      this.#end(message.id!, "answered");
    }
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

  /** Takes note of a piece of a body that answers them all. */
  sawOfBody(piece: Buffer): void {
    if (this.#calls.size === 0) return;
    this.#bytesSeen += piece.length;
    this.#scanner ??= new EnvelopeScanner();
    this.#scanner.write(piece, 0, piece.length);
  }

  /** The server has answered all of them, in what `sawOfBody` had. */
  answered(): void {
    const answers = this.#scanner?.messages ?? [];
    const bytes = this.#bytesSeen;
    this.#scanner = undefined;
    this.#bytesSeen = 0;
    for (const id of this.#calls.keys()) this.#endCall(id, outcomeIn(answers, id), bytes);
    for (const id of this.#open.keys()) this.#end(id, "answered");
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

  /** As `drain`, with who wants to know. */
  drainUnanswered(): Unanswered[] {
    const unanswered = Array.from(this.#open, ([id, { watch }]) => ({ id, watch }));
    const calls = [...this.#calls.values()];
    let used = 0;
    for (const { kind } of this.#open.values()) if (kind !== "ping") used += 1;
    this.#calls.clear();
    this.#open.clear();
    this.#usage.inFlight -= used;
    if (used > 0) this.#usage.lastMessageAt = performance.now();
    const told = inTurns(calls, (call) => call.end("lost", 0));
    unawaited("request", () => {}, told);
    return unanswered;
  }

  #add({ id, method, tool }: ClientMessage, watch: CallWatch | undefined): void {
    const kind = kindOf(method);
    if (this.#open.has(id!)) return;
    this.#open.set(id!, { kind, watch });
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
    const kind = this.#open.get(id)?.kind;
    if (kind === undefined) return;
    this.#open.delete(id);
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

function hasIdTwice(messages: readonly Message[]): boolean {
  const ids = messages.filter(isRequest).map(({ id }) => id);
  return new Set(ids).size < ids.length;
}
