import { COLON, CR, LF, SPACE } from "./bytes.ts";
import { EnvelopeScanner } from "./envelope.ts";
import type { Message } from "./envelope.ts";
import { LongText } from "./long-text.ts";
import type { Text } from "./long-text.ts";
import { oneLine } from "./one-line.ts";

/** An event is held back until it is whole, up to here; what is longer passes in pieces and cannot be an endpoint. */
const MAX_HELD_BYTES = 64 * 1024;
/** Between the `data:` lines of an event. */
const BETWEEN_LINES = Buffer.from("\n");
const MAX_FIELD_NAME = 8;
const MAX_EVENT_NAME = 64;
const MAX_ID_BYTES = 1024;

export interface EventPart {
  /** The bytes as they came, terminator included. */
  readonly bytes: Buffer;
  /** The `event:` field, empty when there was none. */
  readonly name: string;
  /** The JSON-RPC messages in the event's data; empty until the last part. */
  readonly messages: readonly Message[];
  /** The event has data, as far as it has been read: what has none is no event to a client. */
  readonly hasData: boolean;
  /** What of the event's data is in these bytes, where the reader was asked for it. */
  readonly data?: readonly Buffer[];
  /** False while more of the same event follows: nothing may be put between. */
  readonly isLast: boolean;
}

/** The messages in an event with data; undefined where it has none, so that it is no event to a client. */
export const saidIn = ({ hasData, messages }: EventPart): readonly Message[] | undefined =>
  hasData ? messages : undefined;

/**
 * Cuts an event stream (WHATWG HTML, 9.2.6) into events without changing a byte.
 *
 * Lines may end in LF, CR, CRLF or a mix (servers in the field do all of these, even within one
 * event), and chunks may be split anywhere. Comments and blank lines come out as events without data.
 */
export class SseReader {
  readonly #emit: (part: EventPart) => void;
  readonly #takesOutIds: boolean;
  /** The last `id:` of the server, of those that are taken out. */
  lastId: string | undefined;
  #id: string | undefined;
  /** Of a line that may turn out to be an id's, what came in earlier chunks. */
  #withheld = "";
  /** The LF of a CRLF that ended a line which was taken out is to go too. */
  #takesOutLf = false;
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
  #field: "name" | "data" | "event" | "id" | "other" = "name";
  #fieldName = "";
  #eventName = "";
  #atValueStart = false;

  /**
   * With `wantsData` events are given with their data, and without the messages in it; with
   * `takesOutIds` without their `id:` lines, in whose place the gateway's own may stand.
   */
  constructor(emit: (part: EventPart) => void, wantsData = false, takesOutIds = false) {
    this.#emit = emit;
    this.#takesOutIds = takesOutIds;
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
        if (this.#takesOutLf) start = 1;
        else if (this.isAtBoundary) {
          start = 1;
          const bytes = chunk.subarray(0, 1);
          this.#emit({ bytes, name: "", messages: [], hasData: false, isLast: true });
        }
      }
      this.#takesOutLf = false;
    }
    let lineStart = i;
    let nextCr = chunk.indexOf(CR, i);
    while (i < chunk.length) {
      const lf = chunk.indexOf(LF, i);
      let end = lf === -1 ? chunk.length : lf;
      if (nextCr !== -1 && nextCr < end) end = nextCr;
      this.#line(chunk, i, end);
      if (this.#withheld !== "" && !this.#mayBeId) this.#release();
      if (end === chunk.length) break;
      i = end + 1;
      if (end === nextCr) {
        if (i === chunk.length) this.#skipLf = true;
        else if (chunk[i] === LF) i += 1;
        nextCr = chunk.indexOf(CR, i);
      }
      if (this.#isIdLine) {
        if (lineStart > start) this.#hold(chunk.subarray(start, lineStart));
        start = i;
        this.#withheld = "";
        this.#takesOutLf = this.#skipLf;
      }
      lineStart = i;
      if (this.#endLine()) {
        this.#finish(chunk.subarray(start, i));
        start = i;
      }
    }
    let stop = chunk.length;
    if (this.#lineLength > 0 && this.#takesOutIds && this.#mayBeId) {
      if (this.#field === "name") this.#withheld += chunk.toString("latin1", lineStart);
      stop = Math.max(start, lineStart);
    }
    if (start < stop) this.#hold(chunk.subarray(start, stop));
  }

  /** The line that has just ended is to be taken out. */
  get #isIdLine(): boolean {
    if (this.#field !== "id" && (this.#field !== "name" || this.#fieldName !== "id")) return false;
    if (!this.#takesOutIds) return false;
    // Without a colon it names an empty one (WHATWG HTML, 9.2.6).
    if (this.#field === "name") this.#id = "";
    return true;
  }

  get #mayBeId(): boolean {
    return this.#field === "id" || (this.#field === "name" && "id".startsWith(this.#fieldName));
  }

  /** The line is another's than an id's. */
  #release(): void {
    this.#hold(Buffer.from(this.#withheld, "latin1"));
    this.#withheld = "";
  }

  #line(chunk: Buffer, from: number, to: number): void {
    this.#lineLength += to - from;
    let i = from;
    while (i < to && this.#field === "name") {
      const byte = chunk[i++]!;
      if (byte === COLON) {
        this.#field = this.#fieldOf(this.#fieldName);
        this.#atValueStart = true;
        if (this.#field === "event") this.#eventName = "";
        else if (this.#field === "id") this.#id = "";
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
    } else if (this.#field === "id") {
      if (this.#id!.length <= MAX_ID_BYTES) this.#id! += chunk.toString("latin1", i, to);
    } else if (this.#eventName.length < MAX_EVENT_NAME) {
      this.#eventName += chunk.toString("latin1", i, to);
    }
  }

  #fieldOf(name: string): "data" | "event" | "id" | "other" {
    if (name === "data" || name === "event") return name;
    return name === "id" && this.#takesOutIds ? name : "other";
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
      const [name, hasData] = [this.#name, this.#hasData];
      this.#emit({ bytes: whole, name, messages: [], hasData, isLast: false, ...data });
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
    const hasData = this.#hasData;
    if (this.#id !== undefined) this.#takeId(this.#id);
    this.#held = [];
    this.#heldBytes = 0;
    this.#isOverflowing = false;
    this.#name = "";
    this.#scanner.reset();
    this.#hasData = false;
    this.#emit({ bytes, name, messages, hasData, isLast: true, ...this.#takeData() });
  }

  /** One that cannot be said in a header is of no use. */
  #takeId(id: string): void {
    this.lastId = id.length <= MAX_ID_BYTES && /^[\x20-\x7e]+$/.test(id) ? id : undefined;
    this.#id = undefined;
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
/** Ends an event, wherever it has come to. */
export const EVENT_END = Buffer.from("\n\n");

/** Not line ends to an event stream (WHATWG HTML, 9.2.6), but to the readers of many clients: as bytes, and as JSON writes them. */
const OTHER_BREAKS = ["\u2028", "\u2029", "\u0085"].map((text) => ({
  bytes: Buffer.from(text),
  escape: Buffer.from(`\\u${text.charCodeAt(0).toString(16).padStart(4, "0")}`),
}));

/** The event that carries this JSON in one `data:` line, where clients cut it nowhere. */
export function messageEvent(json: Buffer): Buffer {
  return Buffer.concat([MESSAGE_HEAD, inOneLine(json), EVENT_END]);
}

/** The same for any message, in pieces: a long one is not copied. */
export function messageEventParts(text: Text): readonly Buffer[] {
  if (!(text instanceof LongText)) return [messageEvent(text)];
  const parts: Buffer[] = [MESSAGE_HEAD];
  let open: Buffer | undefined;
  for (const part of text.parts) {
    const bytes = open === undefined ? part : Buffer.concat([open, part]);
    // A character may be cut between two pieces.
    const end = bytes.length - openBytes(bytes);
    open = end === bytes.length ? undefined : bytes.subarray(end);
    if (end > 0) parts.push(inOneLine(bytes.subarray(0, end)));
  }
  return open === undefined ? [...parts, EVENT_END] : [...parts, open, EVENT_END];
}

/** How many bytes at the end may begin one of `OTHER_BREAKS`. */
function openBytes(bytes: Buffer): number {
  const last = bytes.at(-1);
  if (last === 0xe2 || last === 0xc2) return 1;
  return last === 0x80 && bytes.at(-2) === 0xe2 ? 2 : 0;
}

/** In one line for every reader: `OTHER_BREAKS` stand in strings only. */
function inOneLine(json: Buffer): Buffer {
  let line = oneLine(json);
  if (!line.includes(0xe2) && !line.includes(0xc2)) return line;
  for (const { bytes, escape } of OTHER_BREAKS) line = replaced(line, bytes, escape);
  return line;
}

function replaced(text: Buffer, from: Buffer, to: Buffer): Buffer {
  const pieces: Buffer[] = [];
  let start = 0;
  for (let at = text.indexOf(from); at !== -1; at = text.indexOf(from, start)) {
    pieces.push(text.subarray(start, at), to);
    start = at + from.length;
  }
  return start === 0 ? text : Buffer.concat([...pieces, text.subarray(start)]);
}

/** A comment: keeps clients and proxies from taking a silent stream for a dead one, and is no event to anybody. */
export const HEARTBEAT = ":\n\n";
