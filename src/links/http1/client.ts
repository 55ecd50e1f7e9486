/** Room: links. Links from a session to its child or remote: opens them, posts to them, reads them. Never sees a client, a key or a user's name. */
import { connect as connectTcp } from "node:net";
import type { OnReadOpts, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { contained } from "../../containment.ts";
import { SupervisorError } from "../../errors.ts";
import { guardedLookup, requireAllowedHost } from "../../platform/address.ts";
import { OutputShare } from "../../platform/output-share.ts";
import { RedirectedExchange } from "./exchange.ts";
import type { Exchange, HttpRequest, Receiver, Send } from "./exchange.ts";
import { Intake } from "./intake.ts";
import { ResponseParser } from "./response-parser.ts";
import type { ResponseHeaders, ResponseSink } from "./response-parser.ts";

export { UNHEARD, pathOf } from "./exchange.ts";
export type { Exchange, HttpRequest, Receiver } from "./exchange.ts";
export type { ResponseHeaders } from "./response-parser.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/**
 * Shorter than the 5 s after which Node and uvicorn close an idle connection, so that a request
 * never races that close: a POST that was sent must not be sent twice. A server that names a shorter
 * time is believed.
 */
const MAX_IDLE_MS = 3_000;
const IDLE_SWEEP_MS = 1_000;
const MAX_IDLE_CONNECTIONS = 32;
/** Up to here head and body go out as one string: one system call in place of a gathered write. */
const ONE_WRITE_BYTES = 16 * 1024;
/** Where every connection is read to, one after the other: Node's own way takes 64 KiB of fresh memory for each read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
/** So much Node hands out at once of what came through TLS. */
const TLS_READ_BYTES = 16 * 1024;

/**
 * Connections to one origin, or to the unix socket that leads to it. Written here and not taken from a library because a message costs its
 * gateway little else: what a general client does for one POST takes longer than all the rest.
 * A connection serves one request at a time and is dropped when its request is aborted.
 */
export class HttpClient {
  readonly #origin: URL;
  readonly #isRemote: boolean;
  readonly #socketPath: string | null;
  readonly #share: OutputShare;
  readonly #idle: Connection[] = [];
  readonly #busy = new Set<Connection>();
  /** Runs while there are idle connections: one timer for all costs less than one each. */
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** `share` is of what the server may write in all. Throws UPSTREAM_REFUSED for an origin that is never called. */
  constructor(
    origin: URL,
    isRemote: boolean,
    socketPath: string | null = null,
    share = new OutputShare(),
  ) {
    if (isRemote) requireAllowedHost(origin.hostname);
    this.#origin = origin;
    this.#isRemote = isRemote;
    this.#socketPath = socketPath;
    this.#share = share;
  }

  /**
   * Sends at once, and again where the server redirects to; throws UPSTREAM_INVALID for a header that
   * would break out of its line.
   */
  request(request: HttpRequest, receiver: Receiver): Exchange {
    const exchange = new RedirectedExchange(request, receiver, this.#origin, this.#send);
    exchange.begin();
    return exchange;
  }

  readonly #send: Send = (request, path, exchange) => {
    const text = headOf(request, path, this.#origin.host);
    const connection =
      this.#takeIdle() ??
      new Connection({
        connect: (onread) => this.#connect(onread),
        isTls: this.#origin.protocol === "https:",
        share: this.#share,
        release: (done, isReusable) => this.#release(done, isReusable),
      });
    this.#busy.add(connection);
    connection.send(text, request.body, exchange);
    return connection;
  };

  /** Ends every connection; exchanges under way fail with UPSTREAM_RESET. */
  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.#idle, ...this.#busy]) connection.close();
  }

  #connect(onread: OnReadOpts): Socket {
    if (this.#socketPath !== null) return connectTcp({ path: this.#socketPath, onread });
    const { hostname, port, protocol } = this.#origin;
    const host = hostname.replace(/^\[|\]$/g, "");
    const lookup = this.#isRemote ? { lookup: guardedLookup } : {};
    const options = {
      host,
      port: Number(port) || (protocol === "https:" ? 443 : 80),
      noDelay: true,
      ...lookup,
    };
    return protocol === "https:"
      ? connectTls({ ...options, servername: host })
      : connectTcp({ ...options, onread });
  }

  #release(connection: Connection, isReusable: boolean): void {
    if (!this.#busy.delete(connection)) this.#idle.splice(this.#idle.indexOf(connection), 1);
    if (!isReusable) return;
    if (this.#isClosed || this.#idle.length >= MAX_IDLE_CONNECTIONS) {
      connection.close();
      return;
    }
    this.#idle.push(connection);
    this.#sweeper ??= setInterval(() => this.#sweep(), IDLE_SWEEP_MS).unref();
  }

  /** The one used last whose server will not just now be closing it. */
  #takeIdle(): Connection | undefined {
    for (;;) {
      const connection = this.#idle.pop();
      if (connection === undefined || performance.now() < connection.usableUntil) return connection;
      // Back to where its end takes it from.
      this.#idle.push(connection);
      connection.close();
    }
  }

  #sweep(): void {
    const now = performance.now();
    for (const connection of this.#idle.filter(({ usableUntil }) => usableUntil <= now))
      connection.close();
    if (this.#idle.length > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

/** Beyond Latin-1 too: such a character goes out as its low byte, and "\u010a" as a line feed. */
const BREAKS_OUT = /[^\t\x20-\x7e\x80-\xff]/;

function headOf({ method, headers, body }: HttpRequest, path: string, host: string): string {
  // Identity: a compressed stream would be held back by its compressor and hide its events.
  let text = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\naccept-encoding: identity\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1]!;
    // Values come from Node's parser, which lets none through, and from recipes with tokens in them.
    if (BREAKS_OUT.test(value))
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        "a header for the server holds a character that headers cannot carry",
      );
    text += `${headers[i]}: ${value}\r\n`;
  }
  return body === null ? `${text}\r\n` : `${text}content-length: ${body.length}\r\n\r\n`;
}

interface ConnectionOptions {
  readonly connect: (onread: OnReadOpts) => Socket;
  readonly isTls: boolean;
  readonly share: OutputShare;
  readonly release: (connection: Connection, isReusable: boolean) => void;
}

/** One socket and the exchange that it serves, if any. */
class Connection implements ResponseSink {
  readonly #socket: Socket;
  /** Until when (`performance.now()`) it may be given another request. */
  usableUntil = 0;
  readonly #parser: ResponseParser;
  readonly #intake: Intake;
  readonly #release: ConnectionOptions["release"];
  #exchange: RedirectedExchange | undefined;
  #isConnected = false;
  #isOver = false;

  constructor({ connect, isTls, share, release }: ConnectionOptions) {
    const onread = (size: number): true => {
      this.#intake.read(Buffer.from(READ_BUFFER.subarray(0, size)));
      return true;
    };
    const socket = connect({ buffer: READ_BUFFER, callback: onread });
    this.#socket = socket;
    this.#release = release;
    this.#parser = new ResponseParser(this);
    this.#intake = new Intake({
      socket,
      share,
      fullReadBytes: isTls ? TLS_READ_BYTES : READ_BUFFER.length,
      push: (bytes) => this.#onData(bytes),
    });
    socket.setTimeout(CONNECT_TIMEOUT_MS);
    socket.once(isTls ? "secureConnect" : "connect", () => {
      this.#isConnected = true;
      socket.setTimeout(0);
    });
    socket.on("timeout", () =>
      this.#fail(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" })),
    );
    // What came through TLS was never read to a buffer of ours.
    if (isTls) socket.on("data", (chunk: Buffer) => this.#intake.read(chunk));
    // What came before that counts, though its turn is still to come.
    socket.on("error", (error) => this.#intake.whenRead(() => this.#fail(error)));
    socket.on("close", () => this.#intake.whenRead(() => this.#onClose()));
  }

  send(head: string, body: Buffer | null, exchange: RedirectedExchange): void {
    this.#exchange = exchange;
    this.#parser.expect();
    if (body === null) {
      this.#socket.write(head, "latin1");
    } else if (body.length <= ONE_WRITE_BYTES) {
      this.#socket.write(head + body.toString("latin1"), "latin1");
    } else {
      this.#socket.cork();
      this.#socket.write(head, "latin1");
      this.#socket.write(body);
      this.#socket.uncork();
    }
  }

  serves(exchange: RedirectedExchange): boolean {
    return this.#exchange === exchange;
  }

  abort(): void {
    this.#exchange = undefined;
    this.close();
  }

  pause(): void {
    this.#intake.pause();
  }

  resume(): void {
    this.#intake.resume();
  }

  close(): void {
    this.#fail(Object.assign(new Error("closed here"), { code: "ECONNRESET" }));
  }

  head(status: number, headers: ResponseHeaders): void {
    this.#exchange?.head(status, headers);
  }

  data(chunk: Buffer): void {
    this.#exchange?.receiver.data(chunk);
  }

  #onData(chunk: Buffer): void {
    const exchange = this.#exchange;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#threw(this.#exchange ?? exchange, error);
    }
  }

  /** What is wrong with the server's answer fails the exchange; anything else was half way through something of its owner's. */
  #threw(exchange: RedirectedExchange | undefined, error: unknown): void {
    const isOfAnswer = error instanceof SupervisorError && error.code !== "INTERNAL";
    if (isOfAnswer && !this.#isOver) return this.#fail(error);
    this.#exchange = undefined;
    this.#fail(undefined);
    try {
      exchange?.receiver.broke(error);
    } catch (again) {
      contained("request", again);
    }
  }

  end(reuseMs: number): void {
    // Aborted from within its own head: the rest of the answer was in the same read.
    if (this.#isOver) return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    // What came behind an answer that was not asked for would be taken for the next one.
    if (reuseMs > 0 && !this.#intake.hasMore) {
      this.usableUntil = performance.now() + Math.min(reuseMs, MAX_IDLE_MS);
      this.#intake.resume();
      this.#release(this, true);
    } else {
      this.#fail(undefined);
    }
    exchange?.receiver.end();
  }

  #onClose(): void {
    if (this.#isOver) return;
    const exchange = this.#exchange;
    try {
      const isInOrder = this.#parser.close();
      if (!isInOrder) this.#fail(Object.assign(new Error("closed"), { code: "ECONNRESET" }));
      else this.#fail(undefined);
    } catch (error) {
      this.#threw(exchange, error);
    }
  }

  #fail(cause: (Error & { code?: string }) | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#intake.drop();
    this.#socket.destroy();
    this.#release(this, false);
    if (cause === undefined) return;
    try {
      exchange?.receiver.fail(wrap(cause, this.#isConnected));
    } catch (error) {
      this.#threw(exchange, error);
    }
  }
}

function wrap(cause: Error & { code?: string }, wasConnected: boolean): SupervisorError {
  if (cause instanceof SupervisorError) return cause;
  return wasConnected
    ? new SupervisorError(
        "UPSTREAM_RESET",
        "the server closed the connection before it had answered",
        { cause },
      )
    : new SupervisorError("UPSTREAM_REFUSED", "the server cannot be reached", { cause });
}
