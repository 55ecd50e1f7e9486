import type { OnReadOpts, Socket } from "node:net";
import { contained } from "../../containment.ts";
import { SupervisorError } from "../../errors.ts";
import { writeFramed } from "../../platform/framed-write.ts";
import type { OutputShare } from "../../platform/output-share.ts";
import type { RedirectedExchange } from "./exchange.ts";
import { Intake } from "./intake.ts";
import { ResponseParser } from "./response-parser.ts";
import type { ResponseHeaders, ResponseSink } from "./response-parser.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/**
 * Shorter than the 5 s after which Node and uvicorn close an idle connection, so that a request
 * never races that close: a POST that was sent must not be sent twice. A server that names a shorter
 * time is believed.
 */
const MAX_IDLE_MS = 3_000;
/** Where every connection is read to, one after the other: Node's own way takes 64 KiB of fresh memory for each read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);
/** So much Node hands out at once of what came through TLS. */
const TLS_READ_BYTES = 16 * 1024;

/** Whose connection it is. */
export interface Owner {
  release(connection: Connection, isReusable: boolean): void;
  /** Nothing of the request has gone out, and nothing will here. */
  sendElsewhere(held: Held): void;
  isGone(): boolean;
}

/** A request that waits for its connection to be known as open. */
export interface Held {
  readonly head: string;
  readonly body: Buffer | null;
  readonly exchange: RedirectedExchange;
}

interface ConnectionOptions {
  readonly connect: (onread: OnReadOpts) => Socket;
  readonly isTls: boolean;
  readonly share: OutputShare;
  readonly owner: Owner;
}

export const closedHere = (): Error & { code: string } =>
  Object.assign(new Error("closed here"), { code: "ECONNRESET" });

/**
 * One socket and the exchange that it serves, if any. It serves one request at a time and is dropped
 * when its request is aborted.
 */
export class Connection implements ResponseSink {
  readonly #socket: Socket;
  /** Until when (`performance.now()`) it may be given another request. */
  usableUntil = 0;
  readonly #parser: ResponseParser;
  readonly #intake: Intake;
  readonly #owner: Owner;
  #exchange: RedirectedExchange | undefined;
  #held: Held | undefined;
  #isConnected = false;
  /** Runs until it is. */
  #connecting: NodeJS.Timeout | undefined;
  /** Something has come back since the request was sent. */
  #isHeard = false;
  #isOver = false;

  constructor({ connect, isTls, share, owner }: ConnectionOptions) {
    const onread = (size: number): true => {
      const chunk = Buffer.allocUnsafe(size);
      READ_BUFFER.copy(chunk, 0, 0, size);
      this.#read(chunk);
      return true;
    };
    const socket = connect({ buffer: READ_BUFFER, callback: onread });
    this.#socket = socket;
    this.#owner = owner;
    this.#parser = new ResponseParser(this);
    this.#intake = new Intake({
      socket,
      share,
      fullReadBytes: isTls ? TLS_READ_BYTES : READ_BUFFER.length,
      push: (bytes) => this.#onData(bytes),
    });
    // A timeout of the socket's own would stay with it for good.
    const late = (): void =>
      this.#fail(Object.assign(new Error("timed out"), { code: "ETIMEDOUT" }));
    this.#connecting = setTimeout(late, CONNECT_TIMEOUT_MS);
    socket.once(isTls ? "secureConnect" : "connect", () => this.#connected());
    // What came through TLS was never read to a buffer of ours.
    if (isTls) socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.prependListener("end", () => this.#onEnd());
    // What came before that counts, though its turn is still to come.
    socket.on("error", (error) => this.#intake.whenRead(() => this.#fail(error)));
    socket.on("close", () => this.#intake.whenRead(() => this.#onClose()));
  }

  #connected(): void {
    this.#isConnected = true;
    clearTimeout(this.#connecting);
    this.#connecting = undefined;
  }

  send(head: string, body: Buffer | null, exchange: RedirectedExchange): void {
    this.#exchange = exchange;
    this.#isHeard = false;
    this.#parser.expect();
    writeFramed(this.#socket, [head, body ?? "", ""]);
  }

  /**
   * As `send`, at the end of this turn: a server that is gone has closed the connection, which may not
   * have been heard yet, and of a request that was written nobody could tell whether it was read.
   */
  hold(held: Held): void {
    this.#exchange = held.exchange;
    this.#held = held;
  }

  /** The turn is over. Sends nothing where it was aborted. */
  sendHeld(): void {
    try {
      this.#sendHeld();
    } catch (error) {
      this.#threw(this.#exchange, contained("request", error));
    }
  }

  #sendHeld(): void {
    const held = this.#held;
    if (held === undefined) return;
    const socket = this.#socket;
    const isOpen = socket.writable && !socket.readableEnded && !this.#intake.hasMore;
    this.#held = undefined;
    if (isOpen) this.send(held.head, held.body, held.exchange);
    // A write that is refused at once has handed nothing on.
    if (isOpen && socket.errored === null) return;
    this.#exchange = undefined;
    this.#fail(undefined);
    this.#owner.sendElsewhere(held);
  }

  /** Nothing of its request has gone out. */
  get isUnsent(): boolean {
    return this.#held !== undefined || !this.#isConnected;
  }

  serves(exchange: RedirectedExchange): boolean {
    return this.#exchange === exchange;
  }

  abort(): void {
    this.#exchange = undefined;
    this.#held = undefined;
    this.close();
  }

  pause(): void {
    this.#intake.pause();
  }

  resume(): void {
    this.#intake.resume();
  }

  close(): void {
    this.#fail(closedHere());
  }

  head(status: number, headers: ResponseHeaders): void {
    this.#exchange?.head(status, headers);
  }

  data(chunk: Buffer): void {
    this.#exchange?.receiver.data(chunk);
  }

  #read(chunk: Buffer): void {
    this.#isHeard = true;
    this.#intake.read(chunk);
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
    this.#held = undefined;
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
      this.#owner.release(this, true);
    } else {
      this.#fail(undefined);
    }
    exchange?.receiver.end();
  }

  /**
   * A process that is gone may have closed the connection just before the request came: the system
   * has refused that then, and says so when more is sent.
   */
  #onEnd(): void {
    const isWaiting = this.#exchange !== undefined && this.#held === undefined && !this.#isHeard;
    if (isWaiting && this.#socket.writable && this.#owner.isGone()) this.#socket.write("\r\n");
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

  #fail(cause: SystemError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#connecting);
    this.#intake.drop();
    this.#socket.destroy();
    this.#owner.release(this, false);
    // What has not gone out goes out elsewhere, at its time.
    if (this.#held !== undefined) return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    if (cause === undefined) return;
    try {
      exchange?.receiver.fail(wrap(cause, this.#reachFor(cause)));
    } catch (error) {
      this.#threw(exchange, error);
    }
  }

  /**
   * A dead process is cleared away a moment later, and until then the system takes what is sent to it.
   * It then resets a connection on which something was left unread, and ends one in order where all was
   * read: the end of the request, without which there is none, was read by nobody. (A server that has
   * every connection reset at its end could not be told apart; none is known that does.)
   */
  #reachFor({ code, syscall }: SystemError): Reach {
    if (!this.#isConnected) return UNREACHED;
    const isReset =
      (code === "ECONNRESET" || code === "EPIPE") && syscall !== undefined && !this.#isHeard;
    return isReset && this.#owner.isGone() ? UNREAD : REACHED;
  }
}

type SystemError = Error & { code?: string; syscall?: string };

/** How far a request that failed came, and what is said of that. */
type Reach = readonly [code: "UPSTREAM_REFUSED" | "UPSTREAM_RESET", what: string];
export const UNREACHED: Reach = ["UPSTREAM_REFUSED", "the server cannot be reached"];
const UNREAD: Reach = ["UPSTREAM_REFUSED", "the server ended before it had read the request"];
const REACHED: Reach = [
  "UPSTREAM_RESET",
  "the server closed the connection before it had answered",
];

export function wrap(cause: SystemError, [code, what]: Reach): SupervisorError {
  return cause instanceof SupervisorError ? cause : new SupervisorError(code, what, { cause });
}
