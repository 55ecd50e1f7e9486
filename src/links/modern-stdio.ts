import { SupervisorError } from "../errors.ts";
import { SMALL_BODY_BYTES, ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import { outcomeOf } from "../mcp/outcome.ts";
import { leftText, requestText } from "../mcp/messages.ts";
import { LongText } from "../mcp/long-text.ts";
import type { Text } from "../mcp/long-text.ts";
import { locate, splice, textAt, valueAt } from "../mcp/json-span.ts";
import type { Span } from "../mcp/json-span.ts";
import { META, MODERN_VERSIONS, discoveredVersions, withMeta } from "../mcp/modern.ts";
import { paramHeadersOf } from "../mcp/param-headers.ts";
import type { ParamHeader } from "../mcp/param-headers.ts";
import { isSafeTool } from "../mcp/tool-hints.ts";
import { isAtLeast } from "./log-levels.ts";
import { OwnIds, headOf, numberIn, numberOf } from "./own-ids.ts";
import { StdioPipe } from "./stdio-pipe.ts";
import type { ChildPipes, Incoming, IncomingValue } from "./stdio-pipe.ts";

/** Who waits for the answer to one request. */
export interface ModernCaller {
  /** A notification that belongs to the request; comes before its answer. */
  notify(raw: Text): void;
  /** Nothing comes after it. */
  answer(raw: Text, message: Message): void;
  /** The answer is not passed on, or none comes: UPSTREAM_RESET, the child has torn a subscription down. Nothing comes after it. */
  dropped(error: SupervisorError): void;
  /** The child is gone; `isUnread` where it has certainly not read the request. Nothing comes after it. */
  ended(isUnread: boolean): void;
}

/** A request that was handed on. */
export interface ModernRequest {
  /** Resolves when the child has it. Rejects with UPSTREAM_RESET where it has closed its input. */
  readonly sent: Promise<void>;
  /** Tells the child that nobody waits for the answer, unless that has come. The caller hears nothing more. */
  readonly cancel: () => void;
}

export interface ModernStdioOptions extends ChildPipes {
  clientVersion: string;
}

/** A tool, as the child named it last. */
interface Tool {
  readonly headers: readonly ParamHeader[];
  readonly isSafe: boolean;
}

interface Call {
  readonly caller: ModernCaller;
  readonly id: string;
  readonly method: string;
  /** The client's own id and progress token, as it wrote them. */
  readonly rawId: string;
  readonly progressToken: string | undefined;
  readonly logLevel: unknown;
}

/** More pages than any server has; one that points back to an earlier page has no end. */
const MAX_PAGES = 50;

function answerTo(id: string, { raw, value: { error } }: Incoming): Message {
  const outcome = outcomeOf(raw);
  const errorCode = error?.code;
  return {
    id,
    method: undefined,
    ...(outcome === "ok" ? {} : { outcome }),
    ...(errorCode === undefined ? {} : { errorCode }),
  };
}

/** Which log messages the request asks for; what is longer than any level is none. */
function logLevelIn(message: ClientMessage): unknown {
  const span = message.find(["params", "_meta", META.logLevel]);
  return span !== undefined && span.end - span.start <= SMALL_BODY_BYTES
    ? valueAt(message.raw, span)
    : undefined;
}

/**
 * One stdio child that speaks 2026-07-28, shared by all clients of its user.
 *
 * There are no sessions: every request stands for itself. Ids, progress tokens and subscription ids
 * are replaced on the way in and put back on the way out, as bytes.
 */
export class ModernStdio {
  readonly #options: ModernStdioOptions;
  readonly #pipe: StdioPipe;
  readonly #calls = new Map<number, Call>();
  readonly #tools = new Map<string, Tool>();
  readonly #ids: OwnIds;
  #isEnded = false;
  #versions: readonly string[] = MODERN_VERSIONS;

  constructor(options: ModernStdioOptions) {
    this.#options = options;
    this.#ids = new OwnIds(options.onFault, options.idsAfter);
    this.#pipe = new StdioPipe({
      ...options,
      onMessage: (incoming) => this.#onMessage(incoming),
      onDropped: ({ id, method }, error) => {
        if (method === undefined) this.#take(numberIn(id))?.caller.dropped(error);
      },
    });
  }

  /** The revisions that the child named. */
  get versions(): readonly string[] {
    return this.#versions;
  }

  /** The child has said so to an earlier daemon. */
  resume(versions: readonly string[]): void {
    this.#versions = versions;
  }

  /** Resolves when the child has said what it speaks. Rejects with UPSTREAM_INVALID for one that knows no modern revision. */
  async discover(): Promise<void> {
    const found = discoveredVersions(await this.#read("server/discover", {}, {}));
    if (found === undefined)
      throw new SupervisorError("UPSTREAM_INVALID", "the child speaks no revision from 2026 on");
    this.#versions = found;
  }

  /** Hands on one request; its answer goes to the caller. Throws UPSTREAM_RESET once the child has ended. */
  request(message: ClientMessage, caller: ModernCaller): ModernRequest {
    this.#requireAlive();
    const hubId = this.#ids.next();
    const { raw } = message;
    const idSpan = message.find(["id"])!;
    const token = message.find(["params", "_meta", "progressToken"]);
    this.#calls.set(hubId, {
      caller,
      id: message.id!,
      method: message.method!,
      rawId: textAt(raw, idSpan),
      progressToken: token && textAt(raw, token),
      logLevel: logLevelIn(message),
    });
    const changes: [Span, string][] = [[idSpan, String(hubId)]];
    if (token !== undefined) changes.push([token, String(hubId)]);
    const inOrder = changes.toSorted(([a], [b]) => a.start - b.start);
    const sent = this.#pipe.write(splice(raw, inOrder), hubId);
    sent.catch(() => this.#calls.delete(hubId));
    return { sent, cancel: () => this.#cancel(hubId) };
  }

  /** Hands on a notification of a client. Rejects with UPSTREAM_RESET where the child has ended or closed its input. */
  async notify(raw: Buffer): Promise<void> {
    this.#requireAlive();
    await this.#pipe.write(raw);
  }

  /**
   * Which arguments of a tool headers have to mirror. Asks the child for its tools, with what the
   * client can do, when it has not named this one yet.
   */
  async paramHeaders(tool: string, capabilities: unknown): Promise<readonly ParamHeader[]> {
    const known = this.#tools.get(tool);
    if (known !== undefined) return known.headers;
    let cursor: unknown;
    for (let page = 0; page < MAX_PAGES; page++) {
      const { result } = await this.#read(
        "tools/list",
        cursor === undefined ? {} : { cursor },
        capabilities,
      );
      this.#learnTools(result);
      cursor = (result as { nextCursor?: unknown } | undefined)?.nextCursor;
      if (typeof cursor !== "string") break;
    }
    return this.#tools.get(tool)?.headers ?? [];
  }

  /** Whether the child said, when it named that tool last to anybody, that it may be called again without harm. */
  isSafe(tool: string | undefined): boolean {
    return tool !== undefined && this.#tools.get(tool)?.isSafe === true;
  }

  /** The child has ended: nobody who waits will get an answer. */
  end(): void {
    this.#isEnded = true;
    this.#pipe.end();
    const { unread } = this.#pipe;
    const calls = [...this.#calls];
    this.#calls.clear();
    for (const [hubId, { caller }] of calls) caller.ended(unread.has(hubId));
  }

  #requireAlive(): void {
    if (this.#isEnded) throw new SupervisorError("UPSTREAM_RESET", "the child has ended");
  }

  #onMessage(incoming: Incoming): void {
    const { raw, value } = incoming;
    if (value.method === undefined) this.#onAnswer(incoming);
    else if (value.id === undefined || value.id === null) this.#onNotification(incoming);
    // A modern server asks nothing of its client (MCP 2026-07-28, stdio).
    else this.#options.onFault("a request, which this revision does not have", headOf(raw));
  }

  #onAnswer(incoming: Incoming): void {
    const { raw, value } = incoming;
    const hubId = numberOf(value.id);
    const call = this.#take(hubId);
    if (call === undefined) return this.#ids.unclaimed(hubId, raw);
    this.#pipe.wasAsked(raw.length);
    if (call.method === "tools/list") this.#learnTools(value.result);
    const changes: [Span, string][] = [[locate(raw, ["id"])!, call.rawId]];
    const subscription = locate(raw, ["result", "_meta", META.subscriptionId]);
    if (subscription !== undefined) changes.push([subscription, call.rawId]);
    const inOrder = changes.toSorted(([a], [b]) => a.start - b.start);
    call.caller.answer(splice(raw, inOrder), answerTo(call.id, incoming));
  }

  #onNotification({ raw, value }: Incoming): void {
    const { method, params } = value;
    if (method === "notifications/progress") {
      const call = this.#find(numberOf(params?.["progressToken"]));
      if (call?.progressToken === undefined) return;
      const span = locate(raw, ["params", "progressToken"])!;
      call.caller.notify(splice(raw, [[span, call.progressToken]]));
    } else if (method === "notifications/message") {
      // It does not say which request it is about, so every one that asked for its level hears it.
      for (const { caller, logLevel } of this.#calls.values())
        if (logLevel !== undefined && isAtLeast(params?.["level"], logLevel)) caller.notify(raw);
    } else if (method === "notifications/cancelled") {
      const tornDown = new SupervisorError("UPSTREAM_RESET", "the child ended the request");
      this.#take(numberOf(params?.["requestId"]))?.caller.dropped(tornDown);
    } else {
      const meta = params?.["_meta"] as Record<string, unknown> | undefined;
      const call = this.#find(numberOf(meta?.[META.subscriptionId]));
      if (call === undefined) return;
      const span = locate(raw, ["params", "_meta", META.subscriptionId])!;
      call.caller.notify(splice(raw, [[span, call.rawId]]));
    }
  }

  #find(hubId: number | undefined): Call | undefined {
    return hubId === undefined ? undefined : this.#calls.get(hubId);
  }

  #take(hubId: number | undefined): Call | undefined {
    const call = this.#find(hubId);
    if (call !== undefined) this.#calls.delete(hubId!);
    return call;
  }

  #cancel(hubId: number): void {
    if (!this.#calls.delete(hubId)) return;
    // A child that has closed its input has ended or is about to; its exit tells everybody.
    this.#pipe.write(Buffer.from(leftText(hubId))).catch(() => {});
  }

  /**
   * Asks the child something of our own, for clients that can do this; `params` is JSON text of an
   * object. Resolves with the whole answer, an error too; rejects with UPSTREAM_RESET when none is to come.
   */
  async ask(method: string, params: string, capabilities: unknown): Promise<Text> {
    const asked = withMeta(params, {
      [META.protocolVersion]: MODERN_VERSIONS[0],
      [META.clientInfo]: { name: "mcp-supervisor", version: this.#options.clientVersion },
      [META.clientCapabilities]: capabilities,
    });
    return await new Promise<Text>((resolve, reject) => {
      const caller: ModernCaller = {
        notify() {},
        answer: resolve,
        dropped: reject,
        ended: () => reject(new SupervisorError("UPSTREAM_RESET", "the child did not answer")),
      };
      const own = ownMessage(requestText(0, method, asked), "0", method);
      this.request(own, caller).sent.catch(reject);
    });
  }

  async #read(method: string, params: object, capabilities: unknown): Promise<IncomingValue> {
    const answer = await this.ask(method, JSON.stringify(params), capabilities);
    if (answer instanceof LongText)
      throw new SupervisorError("UPSTREAM_INVALID", "the child's answer is too long to be read");
    return JSON.parse(answer.toString("utf8")) as IncomingValue;
  }

  #learnTools(result: unknown): void {
    const tools = (result as { tools?: unknown } | undefined)?.tools;
    if (!Array.isArray(tools)) return;
    for (const tool of tools as ({ name?: unknown; inputSchema?: unknown } | null)[])
      if (typeof tool?.name === "string")
        this.#tools.set(tool.name, {
          headers: paramHeadersOf(tool.inputSchema),
          isSafe: isSafeTool(tool),
        });
  }
}
