import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { contained } from "../../containment.ts";
import { writeFramed } from "../../platform/framed-write.ts";
import { fieldName, isFieldValue } from "../../platform/header-fields.ts";
import type { StreamableResponse } from "../exchange.ts";
import { NOSNIFF } from "../safe-response.ts";

type Value = string | number;
type Headers = Readonly<Record<string, Value>>;

const NOBODY: readonly (() => void)[] = [];

/** What the connection has to do with an answer on it. */
export interface AnswerHolder {
  readonly socket: Socket;
  /** Whether another request may follow this answer. */
  readonly mayGoOn: boolean;
  /** How long it waits for that, as a header says it. */
  readonly keepAlive: string;
  /** The last byte of the answer is with the kernel; whether the answer said that another request may follow. */
  answered(isKept: boolean): void;
}

let secondOfDate = 0;
let dateLine = "";

/** The Date line of this second. */
function dateNow(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== secondOfDate) {
    secondOfDate = second;
    dateLine = `Date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }
  return dateLine;
}

/** An answer on a connection of the own reader. After `destroyed` all that is said on it goes nowhere. */
export class OwnResponse implements StreamableResponse {
  forBrowsers: Readonly<Record<string, string>> = NOSNIFF;
  statusCode = 200;
  headersSent = false;
  destroyed = false;
  writableFinished = false;
  readonly #holder: AnswerHolder;
  #set: Record<string, string> | undefined;
  /** Written, and waiting for the first bytes of the body. */
  #head = "";
  #isKept = true;
  #isChunked = false;
  #hasBody = true;
  #isEnded = false;
  #atClose: readonly (() => void)[] = NOBODY;

  constructor(holder: AnswerHolder) {
    this.#holder = holder;
  }

  get socket(): Socket | null {
    return this.destroyed || this.writableFinished ? null : this.#holder.socket;
  }

  get writableLength(): number {
    return this.#head.length + this.#holder.socket.writableLength;
  }

  get writableNeedDrain(): boolean {
    return this.#holder.socket.writableNeedDrain;
  }

  setHeader(name: string, value: string): this {
    (this.#set ??= {})[name.toLowerCase()] = value;
    return this;
  }

  writeHead(status: number, headers: Headers): this {
    if (this.headersSent) throw new Error("the head of this answer is out");
    if (!(status >= 100 && status <= 999)) throw new RangeError(`${status} is no status`);
    const hasBody = status >= 200 && status !== 204 && status !== 304;
    const isChunked = headers["content-length"] === undefined && hasBody;
    const isKept = headers["connection"] === undefined && this.#holder.mayGoOn;
    this.#head =
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n` +
      this.#fields(headers) +
      dateNow() +
      (isKept ? `Connection: keep-alive\r\nKeep-Alive: ${this.#holder.keepAlive}\r\n` : "") +
      (isChunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
    this.statusCode = status;
    this.headersSent = true;
    this.#isChunked = isChunked;
    this.#hasBody = hasBody;
    this.#isKept = isKept;
    return this;
  }

  /** What was set before stands where the head does not say otherwise, and what browsers are told where neither does. */
  #fields(headers: Headers): string {
    const { forBrowsers } = this;
    const set = this.#set;
    let lines = "";
    for (const name in forBrowsers)
      if (headers[name] === undefined && set?.[name] === undefined)
        lines += lineOf(name, forBrowsers[name]!);
    for (const name in set) if (headers[name] === undefined) lines += lineOf(name, set[name]!);
    for (const name in headers) lines += lineOf(name, headers[name]!);
    if (headers["connection"] === undefined && !this.#holder.mayGoOn)
      lines += "Connection: close\r\n";
    return lines;
  }

  write(chunk: string | Buffer): boolean {
    if (this.destroyed || this.#isEnded || chunk.length === 0) return true;
    this.#requireHead();
    if (!this.#hasBody) return true;
    if (!this.#isChunked) return this.#put("", chunk, "");
    return this.#put(`${chunk.length.toString(16)}\r\n`, chunk, "\r\n");
  }

  writePart(part: string | Buffer): boolean {
    return this.write(part);
  }

  end(chunk: string | Buffer = ""): this {
    if (this.destroyed || this.#isEnded) return this;
    this.#requireHead();
    const rest = this.#hasBody ? chunk : "";
    const isChunk = this.#isChunked && rest.length > 0;
    const before = isChunk ? `${rest.length.toString(16)}\r\n` : "";
    const last = this.#isChunked ? "0\r\n\r\n" : "";
    this.#put(before, rest, (isChunk ? "\r\n" : "") + last, (error) => this.#flushed(error));
    this.#isEnded = true;
    return this;
  }

  destroy(): this {
    // From the end of this answer on the connection is the next one's.
    this.socket?.destroy();
    return this;
  }

  on(_event: "close", listener: () => void): this {
    // A spread takes room for sixteen more.
    this.#atClose = this.#atClose.concat(listener);
    return this;
  }

  once(event: "close" | "drain", listener: () => void): this {
    if (event === "close") return this.on(event, listener);
    this.#holder.socket.once("drain", listener);
    return this;
  }

  /** The connection is over, or another has answered on it: nothing more goes out. */
  cut(): void {
    if (this.destroyed || this.writableFinished) return;
    this.destroyed = true;
    this.#close();
  }

  #flushed(error: Error | null | undefined): void {
    // Of a connection that is over "close" tells.
    if (this.destroyed || (error !== undefined && error !== null)) return;
    this.writableFinished = true;
    this.#close();
    this.#holder.answered(this.#isKept);
  }

  #close(): void {
    const listeners = this.#atClose;
    this.#atClose = NOBODY;
    for (const listener of listeners) {
      try {
        listener();
      } catch (error) {
        // Node's caller is a socket, and the others want to hear of it as well.
        contained("request", error);
        this.destroy();
      }
    }
  }

  #requireHead(): void {
    if (!this.headersSent) this.writeHead(this.statusCode, {});
  }

  /** Sends the head, where it waits, and a part of the body with what frames it. */
  #put(
    before: string,
    chunk: string | Buffer,
    behind: string,
    sent?: (error?: Error | null) => void,
  ): boolean {
    const head = this.#head + before;
    this.#head = "";
    return writeFramed(this.#holder.socket, [head, chunk, behind], sent);
  }
}

function lineOf(name: string, value: Value): string {
  if (fieldName(name) === undefined || !isFieldValue(String(value)))
    throw new TypeError(`the header ${JSON.stringify(name)} cannot be sent`);
  return `${name}: ${value}\r\n`;
}
