import { SupervisorError } from "../../errors.ts";
import { CR, LF } from "../../mcp/bytes.ts";
import { fieldName, isFieldValue, withoutBlanks } from "../../platform/header-fields.ts";

export type ResponseHeaders = Readonly<Record<string, string | undefined>>;

export interface ResponseSink {
  head(status: number, headers: ResponseHeaders): void;
  data(chunk: Buffer): void;
  /** The response is whole; for so many milliseconds from now the connection may begin another, Infinity where the server names no bound. */
  end(reuseMs: number): void;
}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_CHUNK_LINE_BYTES = 1024;
const CRLF = "\r\n";
/** Of a status line or a field (RFC 9110, 5.5): obs-text is allowed, every other control is refused. */
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
/** Behind the size: an extension that means nothing here (RFC 9112, 7.1.1). */
const CHUNK_EXTENSION = /^[\t ]*;[\t\x20-\x7e\x80-\xff]*$/;
const MAX_SIZE_DIGITS = 12;
/** `Keep-Alive: timeout=5, max=100`, which Node, uvicorn and Apache send. */
const IDLE_TIMEOUT = /(?:^|[,;])[\t ]*timeout[\t ]*=[\t ]*"?(\d{1,9})/i;
/** A server that closes an idle connection in so many seconds is not asked in the last of them: the request would meet the close. */
const IDLE_MARGIN_MS = 1_000;

/** What comes next. `left` of the parser says how much of a body, a chunk or the trailers may. */
type State =
  | "head"
  | "length"
  | "chunk-size"
  | "chunk"
  | "chunk-end"
  | "trailers"
  | "until-close"
  | "end"
  | "idle";

interface Head {
  readonly text: string;
  readonly code: number;
  readonly headers: ResponseHeaders;
  readonly reuseMs: number;
}

/** Of any server: they answer in the same words for as long as their Date says the same second. */
let latest: Head | undefined;

const invalid = (what: string): SupervisorError =>
  new SupervisorError("UPSTREAM_INVALID", `the server's answer is not HTTP/1.1: ${what}`);

/**
 * Reads HTTP/1.1 responses (RFC 9112) from one connection, one at a time.
 *
 * Strict where leniency would let a server make two answers of one: a length and chunks together,
 * lengths that differ, folded lines, a coding other than chunked, bytes before they are expected, or a
 * control character anywhere in its head, which would be one in ours, all throw UPSTREAM_INVALID, after
 * which the connection must be dropped. With bytes behind its end a response is the connection's last.
 */
export class ResponseParser {
  readonly #sink: ResponseSink;
  #state: State = "idle";
  #left = 0;
  #rest: Buffer | undefined;
  #reuseMs = Infinity;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** A request was sent: its response is what comes next. */
  expect(): void {
    this.#state = "head";
  }

  push(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    for (let at = 0; at < bytes.length;) {
      const used = this.#step(bytes, at);
      if (used === 0) {
        this.#rest = bytes.subarray(at);
        return;
      }
      at += used;
      // What is behind an answer was not asked for, and must not be the next one's beginning.
      if (this.#state === "end") return this.#finish(at < bytes.length ? 0 : this.#reuseMs);
    }
  }

  /** The server closed its side. Returns true when that ended a response in order. */
  close(): boolean {
    if (this.#state !== "until-close") return this.#state === "idle";
    this.#finish(0);
    return true;
  }

  /** Takes what it can use of the bytes behind `at` and tells how many that were; none means "more is needed". */
  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(bytes, at);
      case "length":
      case "chunk":
        return this.#body(bytes, at);
      case "until-close":
        this.#sink.data(at === 0 ? bytes : bytes.subarray(at));
        return bytes.length - at;
      case "chunk-size":
        return this.#chunkSize(bytes, at);
      case "chunk-end":
        if (bytes.length - at < 2) return 0;
        if (bytes[at] !== CR || bytes[at + 1] !== LF)
          throw invalid("a chunk is longer than it said");
        this.#state = "chunk-size";
        return 2;
      case "trailers":
        return this.#trailer(bytes, at);
      case "end":
      case "idle":
        throw invalid("bytes that no request asked for");
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const end = bytes.indexOf("\r\n\r\n", at);
    requireRoom((end === -1 ? bytes.length : end) - at, MAX_HEAD_BYTES);
    if (end === -1) return 0;
    const used = end + 4 - at;
    const text = bytes.toString("latin1", at, end);
    if (latest?.text !== text) latest = parseHead(text);
    const { code, headers, reuseMs } = latest;
    if (code < 200) {
      if (code === 101) throw invalid("an upgrade that nobody asked for");
      return used;
    }
    this.#reuseMs = reuseMs;
    const isEmpty = this.#frame(code, headers);
    this.#sink.head(code, headers);
    if (isEmpty) this.#state = "end";
    return used;
  }

  /** Decides how the body ends (RFC 9112, 6.3); true when there is none. */
  #frame(code: number, headers: ResponseHeaders): boolean {
    const coding = headers["transfer-encoding"];
    const length = headers["content-length"];
    if (code === 204 || code === 304) return true;
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked" || length !== undefined) throw invalid("its framing");
      this.#state = "chunk-size";
      return false;
    }
    if (length === undefined) {
      this.#state = "until-close";
      return false;
    }
    if (!/^\d{1,15}$/.test(length)) throw invalid("its length");
    this.#state = "length";
    this.#left = Number(length);
    return this.#left === 0;
  }

  #body(bytes: Buffer, at: number): number {
    const length = Math.min(bytes.length - at, this.#left);
    const isOfChunk = this.#state === "chunk";
    const isLast = length === this.#left;
    this.#left -= length;
    if (isLast && isOfChunk) this.#state = "chunk-end";
    this.#sink.data(length === bytes.length ? bytes : bytes.subarray(at, at + length));
    if (isLast && !isOfChunk) this.#state = "end";
    return length;
  }

  #chunkSize(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(CRLF, at);
    requireRoom((end === -1 ? bytes.length : end) - at, MAX_CHUNK_LINE_BYTES);
    if (end === -1) return 0;
    const size = sizeIn(bytes, at, end);
    this.#state = size === 0 ? "trailers" : "chunk";
    this.#left = size === 0 ? MAX_HEAD_BYTES : size;
    return end + 2 - at;
  }

  /** Nobody is told of trailers, but what is none may be the next answer's beginning. */
  #trailer(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(CRLF, at);
    const length = (end === -1 ? bytes.length : end) - at;
    requireRoom(length, this.#left);
    if (end === -1) return 0;
    this.#left -= length;
    if (length === 0) this.#state = "end";
    else fieldIn(bytes.toString("latin1", at, end));
    return length + 2;
  }

  #finish(reuseMs: number): void {
    this.#state = "idle";
    this.#sink.end(reuseMs);
  }
}

function requireRoom(bytes: number, limit: number): void {
  if (bytes > limit) throw invalid("a head that has no end");
}

/** Of a chunk, from its line. */
function sizeIn(bytes: Buffer, from: number, end: number): number {
  let size = 0;
  let at = from;
  for (; at < end; at++) {
    const digit = hexDigit(bytes[at]!);
    if (digit === -1) break;
    size = size * 16 + digit;
  }
  const digits = at - from;
  const isWhole = at === end || CHUNK_EXTENSION.test(bytes.toString("latin1", at, end));
  if (digits === 0 || digits > MAX_SIZE_DIGITS || !isWhole) throw invalid("the size of a chunk");
  return size;
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function parseHead(text: string): Head {
  const lines = text.split(CRLF);
  const status = STATUS_LINE.exec(lines[0]!);
  if (status === null) throw invalid("its status line");
  const headers = parseFields(lines);
  return { text, code: Number(status[2]), headers, reuseMs: reuseMsOf(headers, status[1] === "1") };
}

function reuseMsOf(headers: ResponseHeaders, isPersistent: boolean): number {
  const options = headers["connection"]?.toLowerCase().split(",").map(withoutBlanks) ?? [];
  // Framing that HTTP/1.0 does not know is faulty, so what follows it is not to be believed (RFC 9112, 6.1).
  const isKept = isPersistent
    ? !options.includes("close")
    : options.includes("keep-alive") && headers["transfer-encoding"] === undefined;
  if (!isKept) return 0;
  const seconds = IDLE_TIMEOUT.exec(headers["keep-alive"] ?? "")?.[1];
  return seconds === undefined ? Infinity : Math.max(0, Number(seconds) * 1000 - IDLE_MARGIN_MS);
}

function parseFields(lines: readonly string[]): ResponseHeaders {
  const headers: Record<string, string> = Object.create(null);
  for (let i = 1; i < lines.length; i++) {
    const [name, value] = fieldIn(lines[i]!);
    const known = headers[name];
    if (known !== undefined && name === "content-length" && known !== value)
      throw invalid("two lengths");
    headers[name] = known === undefined || name === "content-length" ? value : `${known}, ${value}`;
  }
  return headers;
}

function fieldIn(line: string): readonly [name: string, value: string] {
  const colon = line.indexOf(":");
  // Folded lines (RFC 9112, 5.2) begin with white space and are refused here too.
  const name = fieldName(line.slice(0, colon === -1 ? 0 : colon));
  if (name === undefined) throw invalid("a header");
  const value = withoutBlanks(line.slice(colon + 1));
  if (!isFieldValue(value)) throw invalid("a header's value");
  return [name, value];
}
