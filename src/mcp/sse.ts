import { COLON, CR, LF, SPACE } from "./bytes.ts";
import { EnvelopeScanner } from "./envelope.ts";
import type { Message } from "./envelope.ts";
import { LongText } from "./long-text.ts";
import type { Text } from "./long-text.ts";

/** An event is held back until it is whole, up to here; what is longer passes in pieces and cannot be an endpoint. */
const MAX_HELD_BYTES = 64 * 1024;
/** Between the `data:` lines of an event. */
const BETWEEN_LINES = Buffer.from("\n");
const MAX_FIELD_NAME = 8;
const MAX_EVENT_NAME = 64;

export interface EventPart {
  /** The bytes as they came, terminator included. */
  readonly bytes: Buffer;
  /** The `event:` field, empty when there was none. */
  readonly name: string;
  /** The JSON-RPC messages in the event's data; empty until the last part. */
  readonly messages: readonly Message[];
  /** What of the event's data is in these bytes, where the reader was asked for it. */
  readonly data?: readonly Buffer[];
  /** False while more of the same event follows: nothing may be put between. */
  readonly isLast: boolean;
}

/**
 * Cuts an event stream (WHATWG HTML, 9.2.6) into events without changing a byte.
 *
 * Lines may end in LF, CR, CRLF or a mix (servers in the field do all of these, even within one
 * event), and chunks may be split anywhere. Comments and blank lines come out as events without data.
 */
export class SseReader {
  readonly #emit: (part: EventPart) => void;
  #data: Buffer[] | undefined;
  #hasData = false;
  readonly #scanner = new EnvelopeScanner();
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** A part of the present event has gone out already. */
  #isOverflowing = false;
  #name = "";
  #skipLf = false;
  /** Bytes of the present line so far; a line of none ends the event. */
  #lineLength = 0;
  #field: "name" | "data" | "event" | "other" = "name";
  #fieldName = "";
  #eventName = "";
  #atValueStart = false;

  /** With `wantsData` events are given with their data, and without the messages in it. */
  constructor(emit: (part: EventPart) => void, wantsData = false) {
    this.#emit = emit;
    if (wantsData) this.#data = [];
  }

  /** True between events, where a comment of the gateway's own may go. */
  get isAtBoundary(): boolean {
    return this.#heldBytes === 0 && !this.#isOverflowing;
  }

  push(chunk: Buffer): void {
    let start = 0;
    let i = 0;
    if (this.#skipLf && chunk.length > 0) {
      this.#skipLf = false;
      if (chunk[0] === LF) {
        i = 1;
        // The LF of a CRLF whose CR ended the event: nothing of an event is open, so it goes out by itself.
        if (this.isAtBoundary) {
          start = 1;
          this.#emit({ bytes: chunk.subarray(0, 1), name: "", messages: [], isLast: true });
        }
      }
    }
    let nextCr = chunk.indexOf(CR, i);
    while (i < chunk.length) {
      const lf = chunk.indexOf(LF, i);
      let end = lf === -1 ? chunk.length : lf;
      if (nextCr !== -1 && nextCr < end) end = nextCr;
      this.#line(chunk, i, end);
      if (end === chunk.length) break;
      i = end + 1;
      if (end === nextCr) {
        if (i === chunk.length) this.#skipLf = true;
        else if (chunk[i] === LF) i += 1;
        nextCr = chunk.indexOf(CR, i);
      }
      if (this.#endLine()) {
        this.#finish(chunk.subarray(start, i));
        start = i;
      }
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  #line(chunk: Buffer, from: number, to: number): void {
    this.#lineLength += to - from;
    let i = from;
    while (i < to && this.#field === "name") {
      const byte = chunk[i++]!;
      if (byte === COLON) {
        this.#field =
          this.#fieldName === "data" || this.#fieldName === "event" ? this.#fieldName : "other";
        this.#atValueStart = true;
        if (this.#field === "event") this.#eventName = "";
      } else if (this.#fieldName.length >= MAX_FIELD_NAME) {
        this.#field = "other";
      } else {
        this.#fieldName += String.fromCharCode(byte);
      }
    }
    if (i >= to || this.#field === "other") return;
    if (this.#atValueStart) {
      this.#atValueStart = false;
      if (chunk[i] === SPACE) i += 1;
      if (this.#field === "data") this.#beginDataLine();
    }
    if (this.#field === "data") {
      if (this.#data === undefined) this.#scanner.write(chunk, i, to);
      else if (i < to) this.#data.push(chunk.subarray(i, to));
    } else if (this.#eventName.length < MAX_EVENT_NAME) {
      this.#eventName += chunk.toString("latin1", i, to);
    }
  }

  /** Tells whether the line that just ended was the blank one after an event. */
  #endLine(): boolean {
    const isBlank = this.#lineLength === 0;
    if (this.#field === "event") this.#name = this.#eventName;
    this.#lineLength = 0;
    this.#field = "name";
    this.#fieldName = "";
    return isBlank;
  }

  #hold(bytes: Buffer): void {
    if (this.#isOverflowing || this.#heldBytes + bytes.length > MAX_HELD_BYTES) {
      this.#isOverflowing = true;
      const whole = this.#heldBytes === 0 ? bytes : Buffer.concat([...this.#held, bytes]);
      this.#held = [];
      this.#heldBytes = 0;
      const data = this.#takeData();
      this.#emit({ bytes: whole, name: this.#name, messages: [], isLast: false, ...data });
      return;
    }
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
  }

  #finish(last: Buffer): void {
    const bytes = this.#heldBytes === 0 ? last : Buffer.concat([...this.#held, last]);
    // An overflowing event has lost its head, so it must not be taken for an endpoint.
    const name = this.#isOverflowing ? "" : this.#name;
    const messages = this.#scanner.messages;
    this.#held = [];
    this.#heldBytes = 0;
    this.#isOverflowing = false;
    this.#name = "";
    this.#scanner.reset();
    this.#hasData = false;
    this.#emit({ bytes, name, messages, isLast: true, ...this.#takeData() });
  }

  #beginDataLine(): void {
    if (this.#hasData) this.#data?.push(BETWEEN_LINES);
    this.#hasData = true;
  }

  #takeData(): { data: readonly Buffer[] } | undefined {
    const data = this.#data;
    if (data === undefined) return undefined;
    this.#data = [];
    return { data };
  }
}

/** The data of one whole event: its `data:` lines joined by LF, without the one space after the colon. */
export function dataOf(event: Buffer): string {
  const lines: string[] = [];
  for (const line of event.toString("utf8").split(/\r\n|\r|\n/)) {
    if (line.startsWith("data:")) lines.push(line.slice(line[5] === " " ? 6 : 5));
  }
  return lines.join("\n");
}

/** One event of ours. The data is JSON or a path and holds no line break. */
export function formatEvent(name: "endpoint" | "message", data: string): string {
  return `event: ${name}\ndata: ${data}\n\n`;
}

const MESSAGE_HEAD = Buffer.from("event: message\ndata: ");
const EVENT_END = Buffer.from("\n\n");

/** The event that carries this JSON in one `data:` line: line breaks stand between its tokens only, so a space means the same. */
export function messageEvent(json: Buffer): Buffer {
  const event = Buffer.concat([MESSAGE_HEAD, json, EVENT_END]);
  if (!json.includes(LF) && !json.includes(CR)) return event;
  const end = event.length - EVENT_END.length;
  for (let i = MESSAGE_HEAD.length; i < end; i++)
    if (event[i] === LF || event[i] === CR) event[i] = SPACE;
  return event;
}

/** The same for any message, in pieces: a long one is not copied. */
export function messageEventParts(text: Text): readonly Buffer[] {
  if (!(text instanceof LongText)) return [messageEvent(text)];
  return [MESSAGE_HEAD, ...text.parts.map(inOneLine), EVENT_END];
}

function inOneLine(part: Buffer): Buffer {
  if (!part.includes(LF) && !part.includes(CR)) return part;
  return Buffer.from(part.map((byte) => (byte === LF || byte === CR ? SPACE : byte)));
}

/** A comment: keeps clients and proxies from taking a silent stream for a dead one, and is no event to anybody. */
export const HEARTBEAT = ":\n\n";
