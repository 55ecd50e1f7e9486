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
import { canonicalId } from "./canonical-id.ts";
import { endOfString, isEscapedAt } from "./json-string.ts";
import type { Message } from "./message.ts";
import { META } from "./modern.ts";
import type { Span } from "./span.ts";

/** The objects that are looked into, and the values that are found in them; all that a gateway has to know of any message. */
const OPENED = ["params", "result", "error", "params/_meta", "result/_meta"] as const;
const WANTED: ReadonlyMap<string, readonly string[]> = new Map(
  [
    ["id"],
    ["method"],
    ["params", "progressToken"],
    ["params", "level"],
    ["params", "uri"],
    ["params", "requestId"],
    ["params", "_meta", META.subscriptionId],
    ["result", "protocolVersion"],
    ["result", "isError"],
    ["result", "_meta", META.subscriptionId],
    ["error", "code"],
  ].map((path) => [nameOf(path), path]),
);
const IS_OPENED: ReadonlySet<string> = new Set(OPENED);
/** One name for one path, whatever stands in its keys. */
function nameOf(path: readonly string[]): string {
  return path.map((key) => key.replaceAll("/", "~1")).join("/");
}

/** Keys and values that are longer are cut here: none of them is one that means anything. */
const MAX_BYTES_KEPT = 1024;

/** A value that was found: where it stands, and its text. */
export interface Found extends Span {
  readonly text: string;
}

/**
 * Finds in one JSON-RPC message that comes in pieces the few values that a gateway has to know and
 * where they stand, without keeping the pieces: each byte is looked at once, and nothing is parsed.
 *
 * It believes that the text is JSON, and tells by `isWhole` whether it was one object. Of keys that
 * stand twice the last one counts, as with JSON.parse.
 */
export class MessageScanner {
  readonly #found = new Map<string, Found>();
  /** Bytes of the pieces before this one. */
  #before = 0;
  #depth = 0;
  /** How deep the objects go, from the top on, that are looked into. */
  #looked = 0;
  /** The names of these objects, by their depth, as a prefix of the names of their values. */
  readonly #prefixes: string[] = [];
  /** The value that is read now, where it is in such an object. */
  #name = "";
  #expectsKey = false;
  #inString = false;
  #isEscaped = false;
  /** The key or value that is kept as it is read: from where in this piece, and what came before. */
  #kept: "nothing" | "key" | "string" | "literal" = "nothing";
  #keptFrom = 0;
  #text = "";
  #valueFrom = 0;
  #hasError = false;
  #resultFrom = 0;
  /** Where the result of an answer stands, if it is an object. */
  result: Span | undefined;
  #isOver = false;
  #isBroken = false;

  /** One object, and nothing beside it. */
  get isWhole(): boolean {
    return this.#isOver && !this.#isBroken;
  }

  get message(): Message {
    const id = this.find(["id"])?.text;
    const method = this.#valueOf("method");
    const isToolError = this.#found.get("result/isError")?.text === "true";
    const outcome = this.#hasError ? "error" : isToolError ? "tool-error" : undefined;
    return {
      id: id === undefined || id === "null" ? undefined : canonicalId(id),
      method: typeof method === "string" ? method : undefined,
      ...(outcome === undefined ? {} : { outcome }),
    };
  }

  /** What JSON.parse would have told, of the values that are looked for. */
  get value(): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const name of this.#found.keys()) {
      const path = WANTED.get(name)!;
      let place = value;
      for (const key of path.slice(0, -1)) place = (place[key] ??= {}) as Record<string, unknown>;
      place[path.at(-1)!] = this.#valueOf(name);
    }
    return value;
  }

  find(path: readonly string[]): Found | undefined {
    return this.#found.get(nameOf(path));
  }

  write(chunk: Buffer): void {
    this.#keptFrom = 0;
    for (let i = 0; i < chunk.length; i++) {
      if (this.#inString) {
        const end = endOfString(chunk, i, chunk.length, this.#isEscaped);
        const isOpen = end === chunk.length;
        this.#isEscaped = isOpen && isEscapedAt(chunk, i, end, this.#isEscaped);
        if (isOpen) break;
        i = end;
        this.#endString(chunk, end + 1);
        continue;
      }
      const byte = chunk[i]!;
      if (byte > SPACE) {
        this.#token(chunk, i, byte);
      } else if (this.#kept === "literal") {
        this.#endValue(chunk, i);
      }
    }
    if (this.#kept !== "nothing") this.#keep(chunk, chunk.length);
    this.#before += chunk.length;
  }

  #token(chunk: Buffer, at: number, byte: number): void {
    if (this.#isOver) this.#isBroken = true;
    const isLooked = this.#depth === this.#looked;
    switch (byte) {
      case QUOTE:
        this.#inString = true;
        if (!isLooked) return;
        if (this.#expectsKey) this.#begin("key", at);
        else if (WANTED.has(this.#name)) this.#begin("string", at);
        return;
      case OPEN_BRACE:
        this.#depth += 1;
        if (isLooked) this.#lookInto(at);
        return;
      case OPEN_BRACKET:
        this.#depth += 1;
        return;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        return this.#close(chunk, at, isLooked);
      case COMMA:
        if (!isLooked) return;
        if (this.#kept === "literal") this.#endValue(chunk, at);
        this.#name = "";
        this.#expectsKey = true;
        return;
      case COLON:
        if (isLooked) this.#expectsKey = false;
        return;
      default:
        if (isLooked && this.#kept === "nothing" && WANTED.has(this.#name))
          this.#begin("literal", at);
    }
  }

  #lookInto(at: number): void {
    if (this.#depth > 1 && !IS_OPENED.has(this.#name)) return;
    this.#looked = this.#depth;
    this.#prefixes[this.#depth] = this.#depth === 1 ? "" : `${this.#name}/`;
    this.#expectsKey = true;
    if (this.#name === "error") this.#hasError = true;
    if (this.#name === "result") this.#resultFrom = this.#before + at;
  }

  #close(chunk: Buffer, at: number, isLooked: boolean): void {
    if (this.#kept === "literal") this.#endValue(chunk, at);
    if (isLooked) {
      if (this.#prefixes[this.#looked] === "result/")
        this.result = { start: this.#resultFrom, end: this.#before + at + 1 };
      this.#looked -= 1;
      this.#name = "";
      this.#expectsKey = false;
    }
    this.#depth -= 1;
    if (this.#depth === 0) this.#isOver = true;
    if (this.#depth < 0) this.#isBroken = true;
  }

  #begin(what: "key" | "string" | "literal", at: number): void {
    this.#kept = what;
    this.#keptFrom = at;
    this.#valueFrom = this.#before + at;
  }

  #endString(chunk: Buffer, end: number): void {
    this.#inString = false;
    if (this.#kept === "key") this.#endKey(this.#take(chunk, end));
    else if (this.#kept === "string") this.#endValue(chunk, end);
  }

  #endValue(chunk: Buffer, end: number): void {
    const text = this.#take(chunk, end);
    this.#found.set(this.#name, { start: this.#valueFrom, end: this.#before + end, text });
  }

  /** A value of that name comes: what was found under it before does not count. */
  #endKey(text: string): void {
    this.#name = this.#prefixes[this.#looked]! + keyOf(text);
    this.#expectsKey = false;
    if (this.#name === "error") this.#hasError = false;
    if (this.#name === "result") this.result = undefined;
    if (!IS_OPENED.has(this.#name) && !WANTED.has(this.#name)) return;
    for (const known of this.#found.keys())
      if (known === this.#name || known.startsWith(`${this.#name}/`)) this.#found.delete(known);
  }

  /** What was kept, up to there. */
  #take(chunk: Buffer, end: number): string {
    this.#keep(chunk, end);
    const text = Buffer.from(this.#text, "latin1").toString("utf8");
    this.#kept = "nothing";
    this.#text = "";
    return text;
  }

  #keep(chunk: Buffer, end: number): void {
    const most = this.#keptFrom + MAX_BYTES_KEPT - this.#text.length;
    this.#text += chunk.toString("latin1", this.#keptFrom, Math.min(end, most));
  }

  #valueOf(name: string): unknown {
    const text = this.#found.get(name)?.text;
    try {
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      // It was cut, or the server's text is no JSON.
      return undefined;
    }
  }
}

/** "\u0069d" is a way to write id. */
function keyOf(text: string): string {
  if (!text.includes("\\")) return nameOf([text.slice(1, -1)]);
  try {
    return nameOf([JSON.parse(text) as string]);
  } catch {
    return "";
  }
}
