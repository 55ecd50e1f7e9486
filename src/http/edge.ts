import type { Server } from "node:http";
import type { Socket } from "node:net";
import { SupervisorError } from "../errors.ts";
import { IncomingBody } from "./body-watch.ts";
import { createClientAddress } from "./client-address.ts";
import type { ClientAddress } from "./client-address.ts";
import { Connections } from "./connections.ts";
import type { RequestHead } from "./exchange.ts";
import { FailureLimit } from "./failure-limit.ts";
import { endVanished } from "./vanished.ts";

const SWEEP_MS = 5_000;
/** A client that takes nothing of what waits for it for so long is ended. Node looks up to three times, so it is 20 to 65 s. */
const UNREAD_MS = 20_000;
/** Tries of the kernel after which a client counts as gone: 50 s on a local network, 100 s over a slow one. */
const VANISHED_RETRIES = 8;
/** Looking costs a read of the kernel's table of connections. */
const SWEEPS_A_LOOK = 3;
const BETWEEN_WORDS_MS = 60_000;
/** What a secret that nobody gave out is refused with. */
const WRONG_SECRETS: readonly string[] = ["KEY_INVALID", "INVITE_INVALID"];

/**
 * What stands between a listener and the network: who may hold how many connections, who has failed
 * too often, who is too slow. One timer for all of it, because a timer for every request would cost
 * more than what it guards against.
 */
export class Edge {
  readonly addresses: ClientAddress;
  readonly #connections: Connections;
  readonly #failures = new FailureLimit();
  readonly #bodies = new Set<IncomingBody>();
  readonly #onTurnedAway: (address: string) => void;
  readonly #sweepMs: number;
  readonly #unreadMs: number;
  readonly #retries: number;
  #sweeps = 0;
  #toldAt = -Infinity;

  /** `onTurnedAway` is told of connections that found no place, once a minute at most. */
  constructor(
    trustProxy: readonly string[],
    onTurnedAway: (address: string) => void,
    { sweepMs = SWEEP_MS, unreadMs = UNREAD_MS, retries = VANISHED_RETRIES } = {},
  ) {
    this.#sweepMs = sweepMs;
    this.#unreadMs = unreadMs;
    this.#retries = retries;
    this.addresses = createClientAddress(trustProxy);
    this.#connections = new Connections((address) => this.addresses.isProxy(address));
    this.#onTurnedAway = onTurnedAway;
  }

  /** Until the server is closed. */
  guard(server: Server): void {
    server.on("connection", (socket: Socket) => {
      if (!this.#connections.add(socket)) this.#tell(socket.remoteAddress ?? "");
    });
    const timer = setInterval(() => this.#sweep(), this.#sweepMs);
    timer.unref();
    server.once("close", () => clearInterval(timer));
  }

  /**
   * Runs a check of the secret that a request carries, and holds what comes of it against the
   * connection and the address. Rejects with what the check rejects with, and with TOO_MANY_FAILURES
   * in the place of what a wrong secret is refused with. A check may take its time, and resolve.
   */
  admit<T, R extends RequestHead>(req: R, check: (req: R) => T): T {
    let principal: T;
    try {
      principal = check(req);
    } catch (error) {
      throw this.#refusalFor(req, error);
    }
    if (principal instanceof Promise) return this.#admitLater(req, principal) as T;
    this.#connections.vouch(req.socket);
    return principal;
  }

  async #admitLater<T>(req: RequestHead, check: Promise<T>): Promise<T> {
    try {
      const principal = await check;
      this.#connections.vouch(req.socket);
      return principal;
    } catch (error) {
      throw this.#refusalFor(req, error);
    }
  }

  /** Watches over a body until `unwatch`. */
  watch(late: () => void): IncomingBody {
    const body = new IncomingBody(late);
    this.#bodies.add(body);
    return body;
  }

  unwatch(body: IncomingBody): void {
    this.#bodies.delete(body);
  }

  #refusalFor(req: RequestHead, error: unknown): unknown {
    if (!(error instanceof SupervisorError) || !WRONG_SECRETS.includes(error.code)) return error;
    const seconds = this.#failures.failed(this.addresses.of(req));
    if (seconds === undefined) return error;
    return new SupervisorError(
      "TOO_MANY_FAILURES",
      `too many requests with an invalid key or invite came from this address; try again in ${seconds} s`,
      { retryAfterSeconds: seconds, details: error.details },
    );
  }

  #tell(address: string): void {
    const now = performance.now();
    if (now - this.#toldAt < BETWEEN_WORDS_MS) return;
    this.#toldAt = now;
    this.#onTurnedAway(address);
  }

  #sweep(): void {
    for (const body of this.#bodies) body.passed(this.#sweepMs);
    const { open } = this.#connections;
    for (const socket of open.keys()) limitUnread(socket, this.#unreadMs);
    this.#sweeps += 1;
    if (open.size > 0 && this.#sweeps % SWEEPS_A_LOOK === 0)
      void endVanished(open.keys(), this.#retries);
  }
}

/**
 * Node ends a socket that is silent for its timeout, and counts a write that moves on as a sign of
 * life. A stream may be silent for ever, so the timeout is set only while something waits to be
 * taken. Any other value of it is Node's own, for connections between two requests.
 */
function limitUnread(socket: Socket, unreadMs: number): void {
  if (socket.writableLength > 0) {
    if (socket.timeout !== unreadMs) socket.setTimeout(unreadMs);
  } else if (socket.timeout === unreadMs) {
    socket.setTimeout(0);
  }
}
