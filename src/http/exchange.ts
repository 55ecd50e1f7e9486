import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { BodySink } from "../platform/body-request.ts";

/**
 * A request of a client, as far as what answers messages reads it. Node's own (`BodyRequest`) is one,
 * and so is what `own-reader/` reads from a connection itself: neither can be told from the other.
 */
export interface HttpRequest extends Pick<
  IncomingMessage,
  "headers" | "rawHeaders" | "httpVersionMajor"
> {
  readonly method?: string | undefined;
  /** The target as it was sent, path and query. */
  readonly url?: string | undefined;
  readonly socket: Socket;
  /**
   * The same object for each request of a connection whose head was the same, byte by byte; undefined
   * where nobody compares them. What is found out from the head alone can be kept by it.
   */
  readonly sameHead?: object | undefined;
  /** To be called once. All of a body that is there already comes before this returns. */
  takeBody(sink: BodySink): void;
}

/** A request as far as its head tells of it. */
export type RequestHead = Omit<HttpRequest, "takeBody">;

/** The answer to a request, in the words of Node's ServerResponse, and with its promises as far as they go. */
export interface HttpResponse {
  readonly statusCode: number;
  readonly headersSent: boolean;
  /** Null while an earlier answer of the connection is under way, and from the end of this one. */
  readonly socket: Socket | null;
  readonly destroyed: boolean;
  /** All of the answer is with the kernel. */
  readonly writableFinished: boolean;
  /** Bytes that are not. */
  readonly writableLength: number;
  readonly writableNeedDrain: boolean;
  setHeader(name: string, value: string): unknown;
  /** Throws for what no header can carry, and has then sent nothing. */
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown;
  /** A text without an encoding is ASCII. False where the client has to take what was written before it is given more; `drain` tells of that. */
  write(chunk: string | Buffer): boolean;
  write(chunk: string, encoding: "latin1"): boolean;
  end(chunk?: string | Buffer): unknown;
  end(chunk: string, encoding: "latin1"): unknown;
  /** Ends the connection, whatever of the answer is out. */
  destroy(): unknown;
  /** `close` comes once: when all is sent, or the connection is over before. */
  on(event: "close", listener: () => void): unknown;
  once(event: "close" | "drain", listener: () => void): unknown;
}

/** One that may become a stream, and whose head tells browsers what the answer is not. */
export interface StreamableResponse extends HttpResponse {
  /** Beside the headers of the answer, unless those say otherwise. */
  forBrowsers: Readonly<Record<string, string>>;
  /**
   * Writes a part of a stream, a text as latin1, behind all that was written this way before: a small
   * one leaves in one system call, framing and all. For answers that are written in no other way.
   */
  writePart(part: string | Buffer): boolean;
}
