/** Room: mcp. What the protocol's text says, and no more: JSON-RPC envelopes, event streams, endpoint events, headers. Pure; never opens a socket, never keeps a session. */
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
} from "./bytes.ts";
import { canonicalId, unescaped } from "./canonical-id.ts";
import { locate, textAt } from "./json-span.ts";
import { endOfString, isEscapedAt } from "./json-string.ts";
import type { Text } from "./long-text.ts";
import type { AnswerOutcome, Message } from "./message.ts";

export type { AnswerOutcome, Message } from "./message.ts";
export { idsOf, isForNobody, isPing, isRequest, isResponse } from "./message.ts";
export { canonicalId } from "./canonical-id.ts";

/** Longer keys, ids and methods are cut here; no name of the protocol comes near it. */
const MAX_CAPTURE_BYTES = 1024;

/** The id at a path of keys as `canonicalId` has it: what a parser makes of one beyond 2^53 is another. */
export function idAt(json: Text, path: readonly string[]): string | undefined {
  const span = locate(json, path);
  return span === undefined ? undefined : canonicalId(textAt(json, span));
}

/**
 * Finds id, method and outcome of JSON-RPC messages in bytes that come in pieces, without keeping them.
 *
 * It reads the top level and that of the result only, and believes that the text is JSON: what comes
 * from a child belongs to the child's own user.
 */
export class EnvelopeScanner {
  /** The messages seen whole so far; more than one for a batch (2025-03-26). */
  messages: Message[] = [];
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
      if (this.#inString) {
        const end = endOfString(chunk, i, to, this.#escaped);
        this.#escaped = end === to && isEscapedAt(chunk, i, to, this.#escaped);
        if (end === to) break;
        i = end;
        this.#endString(chunk, end + 1);
        continue;
      }
      const byte = chunk[i]!;
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
      this.#id = fromUtf8(text);
    } else {
      this.#method = unescaped(fromUtf8(text));
    }
  }

  #endMessage(chunk: Buffer, end: number): void {
    this.#endLiteral(chunk, end);
    const id = this.#id === undefined || this.#id === "null" ? undefined : canonicalId(this.#id);
    const method = this.#method;
    const outcome = this.#outcome;
    const message = outcome === "ok" ? { id, method } : { id, method, outcome };
    // An array that grows takes room for sixteen more.
    if (this.messages.length === 0) this.messages = [message];
    else this.messages.push(message);
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
