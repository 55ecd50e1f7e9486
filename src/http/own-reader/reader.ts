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
  readonly #connections = new Map<Socket, OwnConnection>();
  readonly #listeners = listenersFor(this.#connections);
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
    if (socket.destroyed) return;
    this.#connections.set(socket, new OwnConnection(socket, this));
    for (const [event, listener] of this.#listeners) socket.on(event, listener);
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
    for (const [event, listener] of this.#listeners) socket.off(event, listener);
    this.#listener.handOver(socket, unread);
  }

  refuse(socket: Socket, why: Refused): void {
    this.#listener.refuse(socket, why);
  }

  forget(connection: OwnConnection): void {
    this.#connections.delete(connection.socket);
  }

  /** Ends what waits for a next request. */
  closeIdle(): void {
    for (const [socket, { isIdle }] of this.#connections) if (isIdle) socket.destroy();
  }

  /** Ends all, answers that are under way too. */
  closeAll(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }

  /** The listener is closed, with all its connections. */
  stop(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const { limits, sweepMs } = this.#listener;
    for (const [socket, connection] of this.#connections) {
      connection.quietFor += sweepMs;
      const { quietFor } = connection;
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

type Listener = (this: Socket, bytes: Buffer) => void;

const destroy: Listener = function () {
  this.destroy();
};

/** The same for all connections: most are open for long and say nothing, and functions of their own would be a good part of them. */
function listenersFor(
  connections: ReadonlyMap<Socket, OwnConnection>,
): readonly (readonly [event: string, listener: Listener])[] {
  return [
    [
      "data",
      function (bytes) {
        connections.get(this)?.onData(bytes);
      },
    ],
    [
      "end",
      function () {
        const connection = connections.get(this);
        // One that was refused.
        if (connection === undefined) this.end();
        else connection.onEnd();
      },
    ],
    [
      "close",
      function () {
        connections.get(this)?.onClose();
      },
    ],
    ["timeout", destroy],
    ["error", destroy],
  ];
}
