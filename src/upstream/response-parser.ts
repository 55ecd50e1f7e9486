import { SupervisorError } from "../errors.ts";

export type ResponseHeaders = Readonly<Record<string, string | undefined>>;

export interface ResponseSink {
  head(status: number, headers: ResponseHeaders): void;
  data(chunk: Buffer): void;
  /** The response is whole; `isReusable` tells whether the connection may carry another. */
  end(isReusable: boolean): void;
}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_CHUNK_LINE_BYTES = 1024;
const CRLF = "\r\n";
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Header names as servers spell them, with the lower case that they were checked as. */
const KNOWN_NAMES = new Map<string, string>();
const MOST_KNOWN_NAMES = 500;

type State =
  | { readonly kind: "head" }
  | { readonly kind: "length"; left: number }
  | { readonly kind: "chunk-size" }
  | { readonly kind: "chunk"; left: number }
  | { readonly kind: "chunk-end" }
  | { readonly kind: "trailers" }
  | { readonly kind: "until-close" }
  | { readonly kind: "idle" };

interface Head {
  readonly text: string;
  readonly code: number;
  readonly headers: ResponseHeaders;
  readonly isReusable: boolean;
}

/** Of any server: they answer in the same words for as long as their Date says the same second. */
let latest: Head | undefined;

const HEAD: State = { kind: "head" };
const IDLE: State = { kind: "idle" };
const CHUNK_SIZE: State = { kind: "chunk-size" };
const CHUNK_END: State = { kind: "chunk-end" };
const TRAILERS: State = { kind: "trailers" };
const UNTIL_CLOSE: State = { kind: "until-close" };

const invalid = (what: string): SupervisorError =>
  new SupervisorError("UPSTREAM_INVALID", `the server's answer is not HTTP/1.1: ${what}`);

/**
 * Reads HTTP/1.1 responses (RFC 9112) from one connection, one at a time.
 *
 * Strict where leniency would let a server make two answers of one: a length and chunks together,
 * lengths that differ, folded lines, a coding other than chunked, bytes after the end, all throw
 * UPSTREAM_INVALID, after which the connection must be dropped.
 */
export class ResponseParser {
  readonly #sink: ResponseSink;
  #state: State = IDLE;
  #rest: Buffer | undefined;
  #isReusable = true;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  get isIdle(): boolean {
    return this.#state.kind === "idle";
  }

  /** A request was sent: its response is what comes next. */
  expect(): void {
    this.#state = HEAD;
  }

  push(chunk: Buffer): void {
    let bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = undefined;
    while (bytes.length > 0) {
      const used = this.#step(bytes);
      if (used === 0) {
        this.#rest = bytes;
        return;
      }
      bytes = used === bytes.length ? EMPTY : bytes.subarray(used);
    }
  }

  /** The server closed its side. Returns true when that ended a response in order. */
  close(): boolean {
    if (this.#state.kind !== "until-close") return this.#state.kind === "idle";
    this.#finish(false);
    return true;
  }

  /** Takes what it can use of the bytes and tells how many that were; none means "more is needed". */
  #step(bytes: Buffer): number {
    switch (this.#state.kind) {
      case "head":
        return this.#readHead(bytes);
      case "length":
      case "chunk":
        return this.#body(bytes, this.#state);
      case "until-close":
        this.#sink.data(bytes);
        return bytes.length;
      case "chunk-size":
        return this.#chunkSize(bytes);
      case "chunk-end":
        if (bytes.length < 2) return 0;
        if (bytes[0] !== 13 || bytes[1] !== 10) throw invalid("a chunk is longer than it said");
        this.#state = CHUNK_SIZE;
        return 2;
      case "trailers": {
        const end = bytes.indexOf(CRLF);
        if (end === -1) return requireRoom(bytes, MAX_HEAD_BYTES);
        if (end === 0) this.#finish(this.#isReusable);
        return end + 2;
      }
      case "idle":
        throw invalid("bytes that no request asked for");
    }
  }

  #readHead(bytes: Buffer): number {
    const end = bytes.indexOf("\r\n\r\n");
    if (end === -1) return requireRoom(bytes, MAX_HEAD_BYTES);
    const text = bytes.toString("latin1", 0, end);
    if (latest?.text !== text) latest = parseHead(text);
    const { code, headers, isReusable } = latest;
    if (code < 200) {
      if (code === 101) throw invalid("an upgrade that nobody asked for");
      return end + 4;
    }
    this.#isReusable = isReusable;
    const isEmpty = this.#frame(code, headers);
    this.#sink.head(code, headers);
    if (isEmpty) this.#finish(this.#isReusable);
    return end + 4;
  }

  /** Decides how the body ends (RFC 9112, 6.3); true when there is none. */
  #frame(code: number, headers: ResponseHeaders): boolean {
    const coding = headers["transfer-encoding"];
    const length = headers["content-length"];
    if (code === 204 || code === 304) return true;
    if (coding !== undefined) {
      if (coding.toLowerCase() !== "chunked" || length !== undefined) throw invalid("its framing");
      this.#state = CHUNK_SIZE;
      return false;
    }
    if (length === undefined) {
      this.#state = UNTIL_CLOSE;
      return false;
    }
    if (!/^\d{1,15}$/.test(length)) throw invalid("its length");
    this.#state = { kind: "length", left: Number(length) };
    return Number(length) === 0;
  }

  #body(bytes: Buffer, state: { readonly kind: "length" | "chunk"; left: number }): number {
    const part = bytes.length > state.left ? bytes.subarray(0, state.left) : bytes;
    state.left -= part.length;
    if (state.left === 0 && state.kind === "chunk") this.#state = CHUNK_END;
    this.#sink.data(part);
    if (state.left === 0 && state.kind === "length") this.#finish(this.#isReusable);
    return part.length;
  }

  #chunkSize(bytes: Buffer): number {
    const end = bytes.indexOf(CRLF);
    if (end === -1) return requireRoom(bytes, MAX_CHUNK_LINE_BYTES);
    const size = /^[0-9a-f]{1,12}(?=;|$)/i.exec(bytes.toString("latin1", 0, end))?.[0];
    if (size === undefined) throw invalid("the size of a chunk");
    const left = Number.parseInt(size, 16);
    this.#state = left === 0 ? TRAILERS : { kind: "chunk", left };
    return end + 2;
  }

  #finish(isReusable: boolean): void {
    this.#state = IDLE;
    this.#sink.end(isReusable);
  }
}

const EMPTY = Buffer.alloc(0);

function requireRoom(bytes: Buffer, limit: number): 0 {
  if (bytes.length > limit) throw invalid("a head that has no end");
  return 0;
}

function parseHead(text: string): Head {
  const lines = text.split(CRLF);
  const status = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: |$)/.exec(lines[0]!);
  if (status === null) throw invalid("its status line");
  const headers = parseFields(lines);
  const connection = headers["connection"]?.toLowerCase();
  const isReusable = status[1] === "1" ? connection !== "close" : connection === "keep-alive";
  return { text, code: Number(status[2]), headers, isReusable };
}

function parseFields(lines: readonly string[]): ResponseHeaders {
  const headers: Record<string, string> = Object.create(null);
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i]!;
    const colon = line.indexOf(":");
    const name = nameOf(line.slice(0, colon === -1 ? 0 : colon));
    const value = line.slice(colon + 1).trim();
    const known = headers[name];
    if (known !== undefined && name === "content-length" && known !== value)
      throw invalid("two lengths");
    headers[name] = known === undefined || name === "content-length" ? value : `${known}, ${value}`;
  }
  return headers;
}

/** Folded lines (RFC 9112, 5.2) begin with white space and are refused here too. */
function nameOf(text: string): string {
  const known = KNOWN_NAMES.get(text);
  if (known !== undefined) return known;
  const name = text.toLowerCase();
  if (!TOKEN.test(name)) throw invalid("a header");
  if (KNOWN_NAMES.size < MOST_KNOWN_NAMES) KNOWN_NAMES.set(text, name);
  return name;
}
