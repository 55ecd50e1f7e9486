import type { Socket } from "node:net";
import { OwnConnection } from "./connection.ts";
import type { ConnectionOwner, Refused } from "./connection.ts";
import type { OwnMethod } from "./head.ts";
import type { StreamableResponse, HttpRequest } from "../exchange.ts";

/** What a listener has for the connections of the own reader. */
export interface OwnReaderOptions {
  /** Whether a request to this target, path and query, is for the own reader. */
  isHot(method: OwnMethod, url: string): boolean;
  /** Answers a request; what it throws costs the connection. */
  handle(request: HttpRequest, response: StreamableResponse): void;
}

/** What the listener itself does for them. */
export interface ReaderListener {
  readonly isListening: boolean;
  /**
   * How long a connection may be silent before its first byte, between two requests, and behind its
   * last answer; and how long behind that it may be there at all, however busy.
   */
  readonly limits: {
    readonly firstMs: number;
    readonly idleMs: number;
    readonly closingMs: number;
    readonly lingerMs: number;
  };
  /** How late the end of one that is over its time may be. */
  readonly sweepMs: number;
  handOver(socket: Socket, unread: Buffer): void;
  /** See `ConnectionOwner`. */
  refuse(socket: Socket, why: Refused): void;
}

/**
 * Reads messages to hot routes, and requests for event streams, from accepted connections, without
 * Node's HTTP server, which takes more time for a request than all else that is done for it, and keeps
 * more for a stream that is open. What is not as plain as nearly all of them are goes to that server,
 * connection and all.
 */
export class OwnReader implements ConnectionOwner {
  readonly keepAlive: string;
  readonly #options: OwnReaderOptions;
  readonly #listener: ReaderListener;
  readonly #connections = new Set<OwnConnection>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: OwnReaderOptions, listener: ReaderListener) {
    this.#options = options;
    this.#listener = listener;
    this.keepAlive = `timeout=${Math.floor(listener.limits.idleMs / 1000)}`;
    this.#timer = setInterval(() => this.#sweep(), listener.sweepMs);
    this.#timer.unref();
  }

  /** A connection was accepted. */
  readonly accept = (socket: Socket): void => {
    if (!socket.destroyed) this.#connections.add(new OwnConnection(socket, this));
  };

  get isListening(): boolean {
    return this.#listener.isListening;
  }

  isHot(method: OwnMethod, url: string): boolean {
    return this.#options.isHot(method, url);
  }

  handle(request: HttpRequest, response: StreamableResponse): void {
    this.#options.handle(request, response);
  }

  handOver(socket: Socket, unread: Buffer): void {
    this.#listener.handOver(socket, unread);
  }

  refuse(socket: Socket, why: Refused): void {
    this.#listener.refuse(socket, why);
  }

  forget(connection: OwnConnection): void {
    this.#connections.delete(connection);
  }

  /** Ends what waits for a next request. */
  closeIdle(): void {
    for (const connection of this.#connections) if (connection.isIdle) connection.socket.destroy();
  }

  /** Ends all, answers that are under way too. */
  closeAll(): void {
    for (const { socket } of this.#connections) socket.destroy();
  }

  /** The listener is closed, with all its connections. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const { limits, sweepMs } = this.#listener;
    for (const connection of this.#connections) {
      connection.quietFor += sweepMs;
      const { quietFor, socket } = connection;
      if (connection.isClosing) {
        connection.closingFor += sweepMs;
        const isOver = quietFor > limits.closingMs || connection.closingFor > limits.lingerMs;
        if (isOver) socket.destroy();
      } else if (connection.isIdle && connection.isFresh) {
        if (quietFor > limits.firstMs) connection.refuse("late");
      } else if (connection.isIdle && quietFor > limits.idleMs) {
        socket.destroy();
      }
    }
  }
}
