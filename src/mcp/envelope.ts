/** Room: mcp. What the protocol's text says, and no more: JSON-RPC envelopes, event streams, endpoint events, headers. Pure; never opens a socket, never keeps a session. */
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
} from "./bytes.ts";
import { locate, textAt } from "./json-span.ts";
import type { Text } from "./long-text.ts";

/** One JSON-RPC message as far as a gateway has to know it; `id` is canonical JSON text, see `canonicalId`. */
export interface Message {
  readonly id: string | undefined;
  readonly method: string | undefined;
  /** Of an answer: what it says went wrong, if anything. */
  readonly outcome?: Exclude<AnswerOutcome, "ok">;
  /** Of a client's `tools/call`: the name of the tool. */
  readonly tool?: string;
}

/** What a server made of a request: a result, a result that says the tool failed (`isError`), or a JSON-RPC error. */
export type AnswerOutcome = "ok" | "tool-error" | "error";

export const isRequest = (message: Message): boolean =>
  message.id !== undefined && message.method !== undefined;
export const isResponse = (message: Message): boolean =>
  message.id !== undefined && message.method === undefined;

/** An answer without an id, or with null for one: it can be about nothing that was asked. */
export const isForNobody = (message: Message): boolean =>
  message.id === undefined && message.method === undefined;

export const isPing = (message: Message): boolean =>
  message.method === "ping" && message.id !== undefined;

/** The answer to the ping of that id (JSON text). */
export const pongText = (id: string): string => `{"jsonrpc":"2.0","id":${id},"result":{}}`;

/** Longer keys, ids and methods are cut here; no name of the protocol comes near it. */
const MAX_CAPTURE_BYTES = 1024;

/**
 * The same id as JSON text, however it was written: `"\u0061"` and `"a"`, `1.0` and `1` are one.
 * Numbers beyond 2^53 stay as written, because a parser would change them.
 */
export function canonicalId(raw: string): string {
  if (raw.startsWith('"')) return raw.includes("\\") ? JSON.stringify(unescaped(raw)) : raw;
  const value = Number(raw);
  return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : raw;
}

/** The id at a path of keys as `canonicalId` has it: what a parser makes of one beyond 2^53 is another. */
export function idAt(json: Text, path: readonly string[]): string | undefined {
  const span = locate(json, path);
  return span === undefined ? undefined : canonicalId(textAt(json, span));
}

/**
 * Finds id, method and outcome of JSON-RPC messages in bytes that come in pieces, without keeping them.
 *
 * It reads the top level and that of the result only, and believes that the text is JSON: what comes from a client is
 * checked with JSON.parse beside it; what comes from a child belongs to the child's own user.
 */
export class EnvelopeScanner {
  /** The messages seen whole so far; more than one for a batch (2025-03-26). */
  messages: Message[] = [];
  /** A message had two ids or two methods: readers of it may disagree about which one counts. */
  hasDuplicate = false;
  isBatch = false;

  #depth = 0;
  #base = 1;
  /** Where keys are read: at the base, and within a result one below. */
  #level = 1;
  #inString = false;
  #escaped = false;
  #expectKey = false;
  #capture: "none" | "key" | Field = "none";
  /** Where in the present chunk the capture goes on, and what came of it in the chunks before. */
  #captureFrom = 0;
  #captured = "";
  #field: "none" | Field = "none";
  #id: string | undefined;
  #method: string | undefined;
  #outcome: AnswerOutcome = "ok";

  /** Starts over, for the next event on the same stream. */
  reset(): void {
    if (this.messages.length > 0) this.messages = [];
    this.hasDuplicate = false;
    this.isBatch = false;
    this.#depth = 0;
    this.#base = 1;
    this.#level = 1;
    this.#inString = false;
    this.#escaped = false;
    this.#expectKey = false;
    this.#capture = "none";
    this.#captured = "";
    this.#field = "none";
    this.#id = undefined;
    this.#method = undefined;
  }

  /** Reads bytes [from, to) of the chunk as the continuation of what came before. */
  write(chunk: Buffer, from: number, to: number): void {
    this.#captureFrom = from;
    for (let i = from; i < to; i++) {
      let byte = chunk[i]!;
      if (this.#inString) {
        while (!this.#escaped && byte !== QUOTE && byte !== BACKSLASH && ++i < to) byte = chunk[i]!;
        if (i >= to) break;
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else this.#endString(chunk, i + 1);
        continue;
      }
      switch (byte) {
        case QUOTE:
          this.#inString = true;
          this.#beginString(i);
          break;
        case OPEN_BRACE:
          this.#depth += 1;
          if (this.#depth === this.#base) this.#beginMessage();
          else if (this.#field === "result" && this.#depth === this.#base + 1) this.#beginResult();
          break;
        case OPEN_BRACKET:
          if (this.#depth === 0) {
            this.isBatch = true;
            this.#base = 2;
            this.#level = 2;
          }
          this.#depth += 1;
          break;
        case CLOSE_BRACE:
          if (this.#depth === this.#base) this.#endMessage(chunk, i);
          else if (this.#depth === this.#level) this.#endResult(chunk, i);
          this.#depth -= 1;
          break;
        case CLOSE_BRACKET:
          this.#depth -= 1;
          break;
        case COMMA:
          if (this.#depth === this.#level) {
            this.#endLiteral(chunk, i);
            this.#expectKey = true;
          }
          break;
        case COLON:
          if (this.#depth === this.#level) this.#expectKey = false;
          break;
        default:
          if (byte > SPACE && this.#capture === "none" && this.#depth === this.#level) {
            this.#capture = this.#field;
            this.#captureFrom = i;
          }
      }
    }
    if (this.#capture !== "none") this.#captured = this.#textTo(chunk, to);
  }

  /** What is captured, up to there. One character for each byte. */
  #textTo(chunk: Buffer, end: number): string {
    const most = this.#captureFrom + MAX_CAPTURE_BYTES - this.#captured.length;
    const text = chunk.toString("latin1", this.#captureFrom, Math.min(end, most));
    return this.#captured === "" ? text : this.#captured + text;
  }

  #beginMessage(): void {
    this.#expectKey = true;
    this.#field = "none";
    this.#id = undefined;
    this.#method = undefined;
    this.#outcome = "ok";
  }

  #beginResult(): void {
    this.#level = this.#base + 1;
    this.#expectKey = true;
    this.#field = "none";
    // Of results that stand twice the last one counts, as with JSON.parse.
    if (this.#outcome === "tool-error") this.#outcome = "ok";
  }

  #endResult(chunk: Buffer, end: number): void {
    this.#endLiteral(chunk, end);
    this.#level = this.#base;
  }

  #beginString(at: number): void {
    if (this.#depth !== this.#level) return;
    this.#capture = this.#expectKey ? "key" : this.#field;
    this.#captureFrom = at;
  }

  #endString(chunk: Buffer, end: number): void {
    this.#inString = false;
    if (this.#capture === "none") return;
    const text = this.#textTo(chunk, end);
    const capture = this.#capture;
    this.#captured = "";
    this.#capture = "none";
    if (capture === "key") {
      // "\u0069d" is a way to write id that a naive reader would miss.
      const key = text.includes("\\") ? unescaped(text) : text.slice(1, -1);
      this.#field = this.#level === this.#base ? fieldOf(key) : fieldOfResult(key);
      if (key === "error" && this.#level === this.#base) this.#outcome = "error";
    } else {
      this.#settle(capture, text);
    }
  }

  /** Numbers, true, false and null end at the next comma or brace. */
  #endLiteral(chunk: Buffer, end: number): void {
    if (this.#capture !== "none" && this.#capture !== "key")
      this.#settle(this.#capture, this.#textTo(chunk, end).trimEnd());
    this.#captured = "";
    this.#capture = "none";
    this.#field = "none";
  }

  #settle(field: Field, text: string): void {
    this.#field = "none";
    if (field === "result") return;
    if (field === "isError") {
      if (this.#outcome !== "error") this.#outcome = text === "true" ? "tool-error" : "ok";
    } else if (field === "id") {
      if (this.#id !== undefined) this.hasDuplicate = true;
      this.#id = fromUtf8(text);
    } else {
      if (this.#method !== undefined) this.hasDuplicate = true;
      this.#method = unescaped(fromUtf8(text));
    }
  }

  #endMessage(chunk: Buffer, end: number): void {
    this.#endLiteral(chunk, end);
    const id = this.#id === undefined || this.#id === "null" ? undefined : canonicalId(this.#id);
    const method = this.#method;
    const outcome = this.#outcome;
    this.messages.push(outcome === "ok" ? { id, method } : { id, method, outcome });
    this.#id = undefined;
    this.#method = undefined;
  }
}

type Field = "id" | "method" | "result" | "isError";

const fieldOf = (key: string): "none" | Field =>
  key === "id" || key === "method" || key === "result" ? key : "none";

const fieldOfResult = (key: string): "none" | Field => (key === "isError" ? key : "none");

/** Captured bytes were kept one character each; ids and methods may hold more than ASCII. */
function fromUtf8(text: string): string {
  // eslint-disable-next-line no-control-regex -- the range is ASCII itself
  return /^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, "latin1").toString("utf8");
}

function unescaped(jsonString: string): string {
  try {
    const value: unknown = JSON.parse(jsonString);
    return typeof value === "string" ? value : jsonString;
  } catch {
    return jsonString;
  }
}

export type Peek =
  | { readonly kind: "messages"; readonly messages: readonly Message[]; readonly isBatch: boolean }
  | { readonly kind: "not-json" }
  | { readonly kind: "not-rpc"; readonly why: string };

/** What a client's POST body says, or why it is not JSON (-32700) or not one JSON-RPC envelope (-32600). */
export function peek(body: Buffer): Peek {
  const text = body.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "not-json" };
  }
  if (typeof value !== "object" || value === null)
    return { kind: "not-rpc", why: "not a JSON-RPC message" };
  const parts: unknown[] = Array.isArray(value) ? value : [value];
  if (parts.length === 0) return { kind: "not-rpc", why: "an empty batch" };
  for (const part of parts) {
    const why = faultOf(part);
    if (why !== undefined) return { kind: "not-rpc", why };
  }
  const plain = parts.length === 1 ? plainMessage(text, parts[0] as Envelope) : undefined;
  if (plain !== undefined)
    return { kind: "messages", messages: [plain], isBatch: Array.isArray(value) };
  const scanner = new EnvelopeScanner();
  scanner.write(body, 0, body.length);
  if (scanner.hasDuplicate)
    return { kind: "not-rpc", why: "id or method stands twice in one message" };
  const messages = scanner.messages.map((message, index) =>
    withTool(message, parts[index] as Envelope),
  );
  return { kind: "messages", messages, isBatch: scanner.isBatch };
}

/** What is wrong with the body, as a sentence that repeats nothing of it. */
export function faultOfBody(seen: Exclude<Peek, { readonly kind: "messages" }>): string {
  return seen.kind === "not-json" ? "the body is not JSON" : `the body is ${seen.why}`;
}

interface Envelope {
  id?: string | number | null;
  method?: string;
  params?: unknown;
}

function withTool(message: Message, { params }: Envelope): Message {
  if (message.method !== "tools/call" || typeof params !== "object" || params === null)
    return message;
  const { name } = params as { name?: unknown };
  return typeof name === "string" ? { ...message, tool: name } : message;
}

/**
 * The message as JSON.parse saw it, where its text leaves no doubt that other readers see the same:
 * the keys stand there once at most, none is written with escapes, and the number is one that
 * parsers keep. Nearly every message is of this kind, and the scanner is spared.
 */
function plainMessage(text: string, envelope: Envelope): Message | undefined {
  const { id, method } = envelope;
  if (text.includes("\\u") || standsTwice(text, '"id"') || standsTwice(text, '"method"'))
    return undefined;
  if (typeof id === "number" && !Number.isSafeInteger(id)) return undefined;
  const canonical = id === undefined || id === null ? undefined : JSON.stringify(id);
  const isError = "error" in envelope;
  const message: Message = { id: canonical, method, ...(isError ? { outcome: "error" } : {}) };
  return withTool(message, envelope);
}

function standsTwice(text: string, key: string): boolean {
  const first = text.indexOf(key);
  return first !== -1 && text.includes(key, first + key.length);
}

function faultOf(part: unknown): string | undefined {
  if (typeof part !== "object" || part === null || Array.isArray(part))
    return "not a JSON-RPC message";
  const { id, method, result, error } = part as Record<string, unknown>;
  if (id !== undefined && id !== null && typeof id !== "string" && typeof id !== "number") {
    return "the id is neither a string nor a number";
  }
  if (method === undefined)
    return result === undefined && error === undefined
      ? "neither a request nor an answer"
      : undefined;
  if (typeof method !== "string") return "the method is not a string";
  // Some take it for a request and some for a notification; MCP forbids it.
  return id === null ? "a request whose id is null" : undefined;
}
