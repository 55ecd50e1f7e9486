import { contained, guarded, unawaited } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import {
  canonicalId,
  idAt,
  isForNobody,
  isPing,
  isRequest,
  isResponse,
  pongText,
} from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { find, textAt } from "../mcp/json-span.ts";
import { wholeText } from "../mcp/long-text.ts";
import type { Text } from "../mcp/long-text.ts";
import { messagesIn } from "../mcp/outcome.ts";
import type { Live } from "../supervisor/supervisor.ts";
import { PATIENCE_MS, answerWith, beginStream, emitMessage } from "./bridged-answer.ts";
import { partsOf } from "./bridged-link.ts";
import { explainFailure } from "./exit.ts";
import type { HttpOutlet } from "./http-exchange.ts";
import type { CallWatch } from "./calls.ts";
import type { InFlight } from "./in-flight.ts";
import type { MessageLink } from "./message-link.ts";

interface Post {
  readonly outlet: HttpOutlet;
  /** As `canonicalId` has them. */
  readonly progressTokens: readonly string[];
  readonly waiting: Set<string>;
  readonly isBatch: boolean;
  isStream: boolean;
  /** Of a batch whose client takes JSON alone: all go out together. */
  readonly answers: string[];
  readonly watch: CallWatch | undefined;
  /** `performance.now()` when it came. */
  readonly since: number;
}

/**
 * A Streamable HTTP session (to 2025-11-25) over a server that speaks something else.
 *
 * The answer to a POST goes out on that POST, as plain JSON where nothing came before it, else as
 * the end of a stream. What belongs to no POST goes to the stream of the GET, or waits for it.
 */
export class HttpBridge {
  readonly #inFlight: InFlight;
  readonly #maxBacklog: number;
  readonly #posts = new Map<string, Post>();
  #link: MessageLink | undefined;
  /** The session's own streams, the newest last: MCP allows several, and each message goes to one (2025-11-25, transports). */
  readonly #streams: HttpOutlet[] = [];
  #backlog: Text[] = [];
  #watch: NodeJS.Timeout | undefined;
  #isLost = false;

  constructor(inFlight: InFlight, maxBacklog: number) {
    this.#inFlight = inFlight;
    this.#maxBacklog = maxBacklog;
  }

  use(link: MessageLink): void {
    this.#link = link;
  }

  /** Hands on what the client posted; the answer goes to the outlet. Rejects with REQUEST_INVALID for an id in use, UPSTREAM_* for what cannot be handed on. */
  async post(
    body: Buffer,
    messages: readonly Message[],
    headers: readonly string[],
    outlet: HttpOutlet,
    watch?: CallWatch,
  ): Promise<void> {
    const readiness = this.#link!.ready?.();
    if (readiness !== undefined) await readiness;
    this.#inFlight.requireFree(messages);
    const requests = messages.filter(isRequest);
    const parts = partsOf(body);
    this.#inFlight.sent(messages, body, watch);
    const post = requests.length === 0 ? undefined : this.#expect(requests, parts, outlet, watch);
    try {
      for (let i = 0; i < messages.length; i++) {
        const message = messages[i]!;
        if (isForNobody(message)) continue;
        await this.#link!.send(parts[i]!, message, headers);
        if (message.method === "notifications/cancelled") this.#cancelled(parts[i]!);
      }
    } catch (error) {
      this.#inFlight.refused(messages);
      if (post !== undefined) this.#forget(post);
      throw error;
    }
    if (post !== undefined) return;
    outlet.head(202, {}, false);
    outlet.end();
  }

  /** Opens a stream of the session's own. Earlier ones stay: two living ones that end each other would come back for ever. */
  listen(outlet: HttpOutlet): void {
    this.#streams.push(outlet);
    beginStream(outlet);
    const waiting = this.#backlog;
    this.#backlog = [];
    for (const raw of waiting) emitMessage(outlet, raw);
  }

  /** The client has left this POST or stream. That cancels nothing (2025-11-25, transports). */
  left(outlet: HttpOutlet): void {
    const index = this.#streams.indexOf(outlet);
    if (index !== -1) this.#streams.splice(index, 1);
    // Nearly always its answer has gone out, and nothing of it is left.
    if (this.#posts.size === 0) return;
    for (const post of new Set(this.#posts.values()))
      if (post.outlet === outlet) this.#forget(post);
  }

  close(): void {
    clearTimeout(this.#watch);
    for (const post of new Set(this.#posts.values())) this.#forget(post);
    for (const stream of this.#streams) stream.end();
    this.#link?.close();
    this.#inFlight.drain();
  }

  receive(raw: Text, about: string | undefined, known?: Message): void {
    const message = known ?? messagesIn(raw)[0];
    if (message === undefined) return;
    this.#inFlight.received([message], raw.length);
    if (isResponse(message)) return this.#answer(raw, message.id!);
    const post = this.#postOf(raw, message.method, about);
    if (post !== undefined && canCarry(post)) this.#onPost(post, raw);
    else if (this.#streams.length > 0) emit(this.#streams.at(-1)!, raw);
    else if (isRequest(message) && this.#posts.size > 0) this.#ask(raw, message);
    // News of a call is old when a stream comes that could carry it.
    else if (post !== undefined && message.method === "notifications/progress") return;
    else if (this.#backlog.length < this.#maxBacklog) this.#backlog.push(raw);
  }

  /** Puts a question on whatever POST can carry it, else answers it in the client's place. */
  #ask(raw: Text, question: Message): void {
    const post = [...this.#posts.values()].findLast(canCarry);
    if (post !== undefined) this.#onPost(post, raw);
    else this.#refuse(question);
  }

  #refuse(question: Message): void {
    const answer: Message = { id: question.id, method: undefined };
    const why = "the client takes JSON alone and has no stream open, so nothing can be asked of it";
    const error = JSON.stringify({ code: -32603, message: why });
    const text = isPing(question)
      ? pongText(question.id!)
      : `{"jsonrpc":"2.0","id":${question.id},"error":${error}}`;
    const raw = Buffer.from(text);
    this.#inFlight.sent([answer], raw);
    // A server that is gone waits for no answer; its end tells everybody.
    this.#link!.send(raw, answer, []).catch(() => {});
  }

  /** What the server answered to that request is not passed on: its client is told why. */
  dropped(id: string, error: SupervisorError): void {
    const watch = this.#inFlight.failed(id);
    watch?.failApart(error);
    this.#answer(Buffer.from(rpcErrorText(error, watch?.requestId ?? "", id)), id);
  }

  /** The link is over, and no other child takes the session: what waits for an answer is told why, and the session's own stream ends. */
  lost(error: SupervisorError | undefined, live: Live): void {
    this.#isLost = true;
    unawaited("session", this.#break, this.#lose(error, live));
  }

  async #lose(error: SupervisorError | undefined, live: Live): Promise<void> {
    const streams = [...this.#streams];
    await this.#interrupted(error, live);
    for (const stream of streams) stream.end();
  }

  /** Something of ours threw between two messages: the session cannot go on. */
  readonly #break = (): void => {
    this.#isLost = true;
    for (const stream of this.#streams) stream.end();
  };

  get isLost(): boolean {
    return this.#isLost;
  }

  /** The child is gone, and the next takes the session over: what waits for an answer is told why. */
  interrupted(error: SupervisorError | undefined, live: Live): void {
    unawaited("session", this.#break, this.#interrupted(error, live));
  }

  async #interrupted(error: SupervisorError | undefined, live: Live): Promise<void> {
    // Taken at once: what the client asks from now on may be for the next child to answer.
    const failed = [...new Set(this.#posts.values())].map((post) => {
      const unanswered = [...post.waiting];
      this.#forget(post);
      return { post, unanswered };
    });
    this.#inFlight.drain();
    const reset = error ?? new SupervisorError("UPSTREAM_RESET", "the server ended the session");
    const cause = await explainFailure(reset, live);
    for (const { post, unanswered } of failed) {
      if (post.answers.length === 0) post.outlet.fail(cause, unanswered);
      else answerInPart(post, cause, unanswered);
    }
  }

  #expect(
    requests: readonly Message[],
    parts: readonly Buffer[],
    outlet: HttpOutlet,
    watch: CallWatch | undefined,
  ): Post {
    const progressTokens = parts.flatMap((raw) =>
      tokenAt(raw, ["params", "_meta", "progressToken"]),
    );
    const waiting = new Set(requests.map(({ id }) => id!));
    const post: Post = {
      outlet,
      progressTokens,
      waiting,
      isBatch: requests.length > 1,
      isStream: false,
      answers: [],
      watch,
      since: performance.now(),
    };
    this.#watch ??= this.#losePatienceIn(PATIENCE_MS);
    for (const id of waiting) this.#posts.set(id, post);
    return post;
  }

  /** One timer for all posts of the session: nearly all are answered at once, and a timer each would be wasted. */
  #losePatience(): void {
    this.#watch = undefined;
    const now = performance.now();
    for (const post of this.#posts.values()) {
      if (post.isStream || !canCarry(post)) continue;
      const leftMs = post.since + PATIENCE_MS - now;
      if (leftMs <= 0) begin(post);
      else {
        this.#watch = this.#losePatienceIn(leftMs);
        return;
      }
    }
  }

  #losePatienceIn(ms: number): NodeJS.Timeout {
    return setTimeout(
      guarded("session", this.#break, () => this.#losePatience()),
      ms,
    );
  }

  /** Where what is no answer goes: to the POST that it is known or told to belong to. */
  #postOf(raw: Text, method: string | undefined, about: string | undefined): Post | undefined {
    if (about !== undefined) return this.#posts.get(about);
    if (method !== "notifications/progress") return this.#onlyPost();
    const [token] = tokenAt(raw, ["params", "progressToken"]);
    return [...this.#posts.values()].find(({ progressTokens }) =>
      progressTokens.includes(token ?? ""),
    );
  }

  /** A request or notification outside of any call: with one POST open it most likely belongs to that. */
  #onlyPost(): Post | undefined {
    if (this.#streams.length > 0) return undefined;
    const posts = new Set(this.#posts.values());
    return posts.size === 1 ? [...posts][0] : undefined;
  }

  #onPost(post: Post, raw: Text): void {
    within(post.outlet, [...post.waiting], () => {
      begin(post);
      emitMessage(post.outlet, raw);
    });
  }

  #answer(raw: Text, id: string): void {
    const post = this.#posts.get(id);
    if (post === undefined) return;
    this.#posts.delete(id);
    post.waiting.delete(id);
    if (!post.isStream && !post.isBatch) {
      within(post.outlet, [id], () => answerWith(post.outlet, raw));
      return;
    }
    if (!canCarry(post)) {
      post.answers.push(wholeText(raw));
      if (post.waiting.size === 0) answerBatch(post);
      return;
    }
    this.#onPost(post, raw);
    if (post.waiting.size > 0) return;
    post.outlet.end();
  }

  /** A cancelled request gets no answer (MCP, cancellation), so nothing keeps its POST open. */
  #cancelled(raw: Buffer): void {
    const id = idAt(raw, ["params", "requestId"]) ?? "";
    const post = this.#posts.get(id);
    if (post === undefined) return;
    this.#posts.delete(id);
    post.waiting.delete(id);
    if (post.waiting.size > 0) return;
    if (!canCarry(post)) return answerBatch(post);
    begin(post);
    post.outlet.end();
  }

  #forget(post: Post): void {
    for (const id of post.waiting) if (this.#posts.get(id) === post) this.#posts.delete(id);
  }
}

/** Whether something can be said before the answer. */
const canCarry = (post: Post): boolean => post.outlet.accepted !== "json";

/** Of one that was cancelled there is no answer, and of all of them nothing at all. */
function answerBatch({ outlet, answers }: Post): void {
  if (answers.length > 0) return answerWith(outlet, Buffer.from(`[${answers.join(",")}]`));
  outlet.head(202, {}, false);
  outlet.end();
}

function answerInPart(post: Post, error: SupervisorError, unanswered: readonly string[]): void {
  const { answers, watch } = post;
  watch?.failApart(error);
  for (const id of unanswered) answers.push(rpcErrorText(error, watch?.requestId ?? "", id));
  answerBatch(post);
}

/** What throws on the way to one POST or stream of the client's ends that one, and not its session. */
function within(outlet: HttpOutlet, unanswered: readonly string[], work: () => void): void {
  try {
    work();
  } catch (error) {
    outlet.fail(contained("request", error), unanswered);
  }
}

function emit(stream: HttpOutlet, raw: Text): void {
  within(stream, [], () => emitMessage(stream, raw));
}

function begin(post: Post): void {
  if (post.isStream) return;
  post.isStream = true;
  beginStream(post.outlet);
}

function tokenAt(raw: Text, path: readonly string[]): string[] {
  const span = find(raw, path);
  return span === undefined ? [] : [canonicalId(textAt(raw, span))];
}
