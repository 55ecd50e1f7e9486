import { peek } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest } from "../mcp/envelope.ts";
import type { AnswerOutcome } from "../mcp/envelope.ts";
import { locate, valueAt } from "../mcp/json-span.ts";
import { LongText } from "../mcp/long-text.ts";
import { notificationText } from "../mcp/messages.ts";
import type { Text } from "../mcp/long-text.ts";
import { cursorIn } from "./list-pages.ts";
import { ShownLists } from "./shown-lists.ts";
import type { WrittenLists } from "./shown-lists.ts";
import { isSafeTool } from "../mcp/tool-hints.ts";
import { LazyMap } from "../platform/lazy.ts";
import { LruCache } from "../platform/lru-cache.ts";

/** Of the URIs that one session subscribed to; what is beyond that is not told to a next generation. */
const MAX_URIS = 1_000;
const MAX_URI_BYTES = 64 * 1024;
/** Of a list of tools that is read for what may be sent again. */
const MAX_TOOLS_BYTES = 1024 * 1024;
/** Of what is kept once for all sessions that begin alike, and of one such message. */
const MAX_SHARED_BYTES = 256 * 1024;
const MAX_SHARED_MESSAGE = 8 * 1024;
const NO_TOOLS: ReadonlySet<string> = new Set();

/** What a server said of itself in its answer to `initialize`. */
export interface ServerSide {
  readonly version: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
}

/** What the answer to `initialize` says; undefined where it is a refusal. Some servers name no version. */
export function serverSideIn(answer: Text): ServerSide | undefined {
  if (answer instanceof LongText) return undefined;
  const at = (key: string): unknown => {
    const span = locate(answer, ["result", key]);
    return span && valueAt(answer, span);
  };
  if (locate(answer, ["result"]) === undefined) return undefined;
  const [version, capabilities] = [at("protocolVersion"), at("capabilities")];
  const isObject = typeof capabilities === "object" && capabilities !== null;
  return {
    version: typeof version === "string" ? version : "",
    capabilities: isObject ? (capabilities as ServerSide["capabilities"]) : {},
  };
}

/** Who keeps what a session knows for longer than the daemon runs. */
export interface MemoryKeeper {
  /** The client's `initialize` is about to be answered, and well. */
  begun(): void;
  /** There is something else to know. */
  changed(): void;
  /** The client has lost its stream, and may come back. */
  left(): void;
  /** It has come back. */
  cameBack(): void;
  /** The session cannot go on. */
  lost(): void;
  /** The session is over for good. */
  end(): void;
}

/** What a session knows, as JSON; messages as `written` has them. */
export interface WrittenMemory {
  readonly initialize: string;
  readonly serverSide: ServerSide;
  readonly initialized: string | undefined;
  readonly rootsChanged: string | undefined;
  readonly level: string | undefined;
  readonly subscriptions: readonly string[];
  readonly lists: WrittenLists;
  readonly safeTools: readonly string[];
  readonly epochs: number;
}

/** Latin-1 keeps every byte. */
const written = ({ raw }: ClientMessage): string => raw.toString("latin1");

/** A message that was posted once, and found to be one. */
function read(text: string): ClientMessage {
  return messageIn(Buffer.from(text, "latin1"));
}

function messageIn(raw: Buffer): ClientMessage {
  const seen = peek(raw);
  if (seen.kind !== "messages") throw new Error("what was written is no message");
  return seen.messages[0]!;
}

/**
 * What clients of one kind say in the same words, and servers of them: one copy for all sessions. It is
 * made anew, since what came is a piece of all that was read with it, secrets and all.
 */
const said = new LruCache<{ readonly bytes: number; readonly message: ClientMessage }>(
  MAX_SHARED_BYTES,
);
const sides = new LruCache<{ readonly bytes: number; readonly side: ServerSide }>(MAX_SHARED_BYTES);

function shared(message: ClientMessage): ClientMessage {
  if (message.raw.length > MAX_SHARED_MESSAGE) return message;
  const text = written(message);
  const one = said.get(text) ?? { bytes: 2 * text.length, message: messageIn(copyOf(message.raw)) };
  said.set(text, one);
  return one.message;
}

function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}

function sharedSide(side: ServerSide): ServerSide {
  const text = JSON.stringify(side);
  const one = sides.get(text) ?? { bytes: 2 * text.length, side };
  if (text.length <= MAX_SHARED_MESSAGE) sides.set(text, one);
  return one.side;
}

export const initializeIn = ({ initialize }: WrittenMemory): ClientMessage => read(initialize);

const readSome = (text: string | undefined): ClientMessage | undefined =>
  text === undefined ? undefined : read(text);

/** Said by who goes on, whatever was written: a daemon may be killed before it has written that. */
const INITIALIZED = read(notificationText("notifications/initialized"));
/** A daemon that was killed may have been so many generations further than it had written. */
const EPOCHS_UNWRITTEN = 100;

/**
 * What the client of a session has said, and been told, that the next generation of its server has to
 * know for the conversation to go on.
 */
export class SessionMemory {
  /** As the client sent it, once it was answered well. */
  #initialize: ClientMessage | undefined;
  #serverSide: ServerSide | undefined;
  /** The last answer to that, for as long as somebody may keep it. */
  greeting: Text | undefined;
  #epochs = 0;
  keeper: MemoryKeeper | undefined;
  /** The client's `notifications/initialized`, as it was sent. */
  initialized: ClientMessage | undefined;
  /** `notifications/roots/list_changed`, which came while no child was there to hear it. */
  rootsChanged: ClientMessage | undefined;
  #level: ClientMessage | undefined;
  /** What the client was shown of each list. */
  readonly lists = new ShownLists();
  readonly #subscriptions = new LazyMap<string, ClientMessage>();
  #uriBytes = 0;
  #safeTools: ReadonlySet<string> = NO_TOOLS;

  /** It was on a generation, or its client's `initialize` was answered without one. */
  get isBegun(): boolean {
    return this.#epochs > 0 || this.#initialize !== undefined;
  }

  /** The number of its next place on a generation: 0 for the first of a session that begins there. */
  nextEpoch(generation: number): number {
    const epoch = this.isBegun ? Math.max(generation, this.#epochs + 1) : 0;
    this.#epochs = Math.max(1, epoch);
    this.keeper?.changed();
    return epoch;
  }

  /** The client's `initialize`, once a server has answered it well. */
  get initialize(): ClientMessage | undefined {
    return this.#initialize;
  }

  /** What the client was told of the server. */
  get serverSide(): ServerSide | undefined {
    return this.#serverSide;
  }

  /** The last request for a log level. */
  get level(): ClientMessage | undefined {
    return this.#level;
  }

  /** The requests that subscribed, by the URI's JSON text. */
  get subscriptions(): Omit<LazyMap<string, ClientMessage>, "set" | "delete" | "clear"> {
    return this.#subscriptions;
  }

  /** What it subscribed to. */
  get uris(): string[] {
    return [...this.#subscriptions.keys()].map((uri) => JSON.parse(uri) as string);
  }

  /** Takes note of what the client says. */
  sent(messages: readonly ClientMessage[]): void {
    for (const message of messages) {
      switch (message.method) {
        case "notifications/initialized":
          this.initialized = shared(message);
          this.keeper?.changed();
          break;
        case "logging/setLevel":
          this.#level = message;
          this.keeper?.changed();
          break;
        case "resources/subscribe":
          this.#subscribe(message);
          break;
        case "resources/unsubscribe":
          this.#unsubscribe(uriIn(message));
          break;
        case undefined:
        default:
      }
    }
  }

  /** As `sent`, where no child was there to hear it: what the next one has to hear is kept. */
  heard(messages: readonly ClientMessage[]): void {
    this.sent(messages);
    for (const message of messages) {
      if (message.method !== "notifications/roots/list_changed") continue;
      this.rootsChanged = message;
      this.keeper?.changed();
    }
  }

  /** Takes note of what a server answered to one of those whose answers are noted; see InFlight. */
  answered(request: ClientMessage | undefined, answer: Text, outcome?: AnswerOutcome): void {
    if (request === undefined) return;
    const isRefused = outcome === "error";
    if (!isRefused && this.lists.note(request, answer)) this.keeper?.changed();
    switch (request.method) {
      case "initialize":
        if (!isRefused) this.begun(request, answer);
        break;
      case "logging/setLevel":
        if (!isRefused || this.#level !== request) break;
        this.#level = undefined;
        this.keeper?.changed();
        break;
      case "resources/subscribe":
        if (isRefused) this.#unsubscribe(uriIn(request));
        break;
      case "tools/list":
        if (!isRefused) this.#showTools(answer, cursorIn(request) === undefined);
        break;
      case undefined:
      default:
    }
  }

  /** The client's `initialize` was answered well, with this. */
  begun(initialize: ClientMessage, answer: Text): void {
    const serverSide = serverSideIn(answer);
    if (serverSide === undefined) return;
    this.#initialize = shared(initialize);
    this.#serverSide = sharedSide(serverSide);
    this.greeting = answer;
    this.keeper?.begun();
  }

  /** All of it, to be kept elsewhere; undefined for a session that has not begun. */
  get written(): WrittenMemory | undefined {
    if (this.#initialize === undefined || this.#serverSide === undefined) return undefined;
    const { initialized, rootsChanged } = this;
    return {
      initialize: written(this.#initialize),
      serverSide: this.#serverSide,
      initialized: initialized && written(initialized),
      rootsChanged: rootsChanged && written(rootsChanged),
      level: this.#level && written(this.#level),
      subscriptions: [...this.#subscriptions.values()].map(written),
      lists: this.lists.written,
      safeTools: [...this.#safeTools],
      epochs: this.#epochs,
    };
  }

  /** It knows what was written of a session, and has been on no generation since. */
  recall(memory: WrittenMemory): void {
    this.#initialize = read(memory.initialize);
    this.#serverSide = memory.serverSide;
    this.initialized = readSome(memory.initialized) ?? INITIALIZED;
    this.rootsChanged = readSome(memory.rootsChanged);
    this.#level = readSome(memory.level);
    for (const text of memory.subscriptions) this.#subscribe(read(text));
    this.lists.recall(memory.lists);
    this.#safeTools = new Set(memory.safeTools);
    this.#epochs = memory.epochs + EPOCHS_UNWRITTEN;
  }

  /** Whether the client was told that this tool may be called again without harm. */
  isSafe(tool: string | undefined): boolean {
    return tool !== undefined && this.#safeTools.has(tool);
  }

  /** A page of the tools that the client is shown; `isFirst` where it begins anew. */
  #showTools(answer: Text, isFirst: boolean): void {
    if (answer instanceof LongText || answer.length > MAX_TOOLS_BYTES) return;
    const span = locate(answer, ["result", "tools"]);
    const tools = span && valueAt(answer, span);
    const safe = Array.isArray(tools) ? tools.filter(isSafeTool).map(({ name }) => name) : [];
    this.#safeTools = new Set(isFirst ? safe : [...this.#safeTools, ...safe]);
  }

  #subscribe(message: ClientMessage): void {
    const uri = uriIn(message);
    if (!isRequest(message) || uri === undefined || this.#subscriptions.has(uri)) return;
    if (this.#subscriptions.size >= MAX_URIS || this.#uriBytes + uri.length > MAX_URI_BYTES) return;
    this.#uriBytes += uri.length;
    this.#subscriptions.set(uri, message);
    this.keeper?.changed();
  }

  #unsubscribe(uri: string | undefined): void {
    if (uri === undefined || !this.#subscriptions.delete(uri)) return;
    this.#uriBytes -= uri.length;
    this.keeper?.changed();
  }
}

function uriIn(message: ClientMessage): string | undefined {
  const span = message.find(["params", "uri"]);
  const uri = span && valueAt(message.raw, span);
  return typeof uri === "string" ? JSON.stringify(uri) : undefined;
}
