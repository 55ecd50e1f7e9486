/** Room: links. Links from a session to its child or remote: opens them, posts to them, reads them. Never sees a client, a key or a user's name. */
import { connect as connectTcp } from "node:net";
import type { OnReadOpts, Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { SupervisorError } from "../../errors.ts";
import { hostIn, lookupFor, portIn, requireAllowedHost } from "../../platform/address.ts";
import type { Reach } from "../../platform/address.ts";
import { isFieldValue } from "../../platform/header-fields.ts";
import { OutputShare } from "../../platform/output-share.ts";
import { RedirectedExchange } from "./exchange.ts";
import type { Exchange, HttpRequest, Receiver, Send } from "./exchange.ts";
import { Connection, UNREACHED, closedHere, wrap } from "./connection.ts";
import type { Held, Owner } from "./connection.ts";

export { UNHEARD, pathOf } from "./exchange.ts";
export type { Exchange, HttpRequest, Receiver } from "./exchange.ts";
export type { ResponseHeaders } from "./response-parser.ts";

const IDLE_SWEEP_MS = 1_000;
const MAX_IDLE_CONNECTIONS = 32;

export interface HttpClientOptions {
  /** The unix socket that leads there. */
  readonly socketPath?: string | null;
  /** Of what the server may write in all. */
  readonly share?: OutputShare;
  /** How far it goes to a remote; `any`. */
  readonly reach?: Reach;
  /** Whether the server's process does nothing any more. */
  readonly isGone?: () => boolean;
}

/**
 * Connections to one origin, or to the unix socket that leads to it. Written here and not taken from a library because a message costs its
 * gateway little else: what a general client does for one POST takes longer than all the rest.
 */
export class HttpClient {
  readonly #origin: URL;
  readonly #isRemote: boolean;
  readonly #reach: Reach;
  readonly #socketPath: string | null;
  readonly #isGone: () => boolean;
  readonly #share: OutputShare;
  /** By headers: one client's requests come with the same ones again and again. */
  readonly #heads = new WeakMap<readonly string[], Head>();
  readonly #idle: Connection[] = [];
  readonly #busy = new Set<Connection>();
  /** Those with a request that goes out at the end of this turn. */
  #holding: Connection[] = [];
  /** Runs while there are idle connections: one timer for all costs less than one each. */
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** Throws UPSTREAM_REFUSED for an origin that is never called. */
  constructor(origin: URL, isRemote: boolean, options: HttpClientOptions = {}) {
    const { socketPath = null, share = new OutputShare(), isGone = () => false } = options;
    const { reach = "any" } = options;
    if (isRemote) requireAllowedHost(origin.hostname, reach);
    this.#origin = origin;
    this.#isRemote = isRemote;
    this.#reach = reach;
    this.#socketPath = socketPath;
    this.#share = share;
    // How a connection to elsewhere breaks says nothing of who has read what.
    this.#isGone = isRemote ? () => false : isGone;
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
    const text = this.#headOf(request, path);
    const idle = this.#takeIdle();
    if (idle === undefined) return this.#sendFresh(text, request.body, exchange);
    this.#busy.add(idle);
    idle.hold({ head: text, body: request.body, exchange });
    if (this.#holding.length === 0) setImmediate(this.#sendHeld);
    this.#holding.push(idle);
    return idle;
  };

  #headOf({ method, headers, body }: HttpRequest, path: string): string {
    let head = this.#heads.get(headers);
    if (head === undefined || head.path !== path || head.method !== method) {
      head = { method, path, text: headText(method, path, this.#origin.host, headers) };
      this.#heads.set(headers, head);
    }
    return body === null
      ? `${head.text}\r\n`
      : `${head.text}content-length: ${body.length}\r\n\r\n`;
  }

  readonly #sendHeld = (): void => {
    const holding = this.#holding;
    this.#holding = [];
    for (const connection of holding) connection.sendHeld();
  };

  #sendElsewhere({ head, body, exchange }: Held): void {
    if (this.#isClosed) exchange.receiver.fail(wrap(closedHere(), UNREACHED));
    else exchange.moveTo(this.#sendFresh(head, body, exchange));
  }

  #sendFresh(head: string, body: Buffer | null, exchange: RedirectedExchange): Connection {
    const connection = new Connection({
      connect: (onread) => this.#connect(onread),
      isTls: this.#origin.protocol === "https:",
      share: this.#share,
      owner: this.#owner,
    });
    this.#busy.add(connection);
    connection.send(head, body, exchange);
    return connection;
  }

  readonly #owner: Owner = {
    release: (done, isReusable) => this.#release(done, isReusable),
    sendElsewhere: (held) => this.#sendElsewhere(held),
    isGone: () => this.#isGone(),
  };

  /** Ends every connection; exchanges under way fail with UPSTREAM_RESET. */
  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.#idle, ...this.#busy]) connection.close();
  }

  #connect(onread: OnReadOpts): Socket {
    if (this.#socketPath !== null) return connectTcp({ path: this.#socketPath, onread });
    const host = hostIn(this.#origin);
    const lookup = this.#isRemote ? { lookup: lookupFor(this.#reach) } : {};
    const options = {
      host,
      port: portIn(this.#origin),
      noDelay: true,
      ...lookup,
    };
    return this.#origin.protocol === "https:"
      ? connectTls({ ...options, servername: host })
      : connectTcp({ ...options, onread });
  }

  #release(connection: Connection, isReusable: boolean): void {
    const at = this.#busy.delete(connection) ? -1 : this.#idle.indexOf(connection);
    // One that found no place among the idle is in neither.
    if (at !== -1) this.#idle.splice(at, 1);
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

/** Of a request: all of it but the length of its body. */
interface Head {
  readonly method: string;
  readonly path: string;
  readonly text: string;
}

/** The head of a request, but for the length of its body and its end. */
function headText(method: string, path: string, host: string, headers: readonly string[]): string {
  // Identity: a compressed stream would be held back by its compressor and hide its events.
  let text = `${method} ${path} HTTP/1.1\r\nhost: ${host}\r\naccept-encoding: identity\r\n`;
  for (let i = 0; i < headers.length; i += 2) {
    const value = headers[i + 1]!;
    // Values come from Node's parser, which lets none through, and from recipes with tokens in them.
    if (!isFieldValue(value))
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        "a header for the server holds a character that headers cannot carry",
      );
    text += `${headers[i]}: ${value}\r\n`;
  }
  // In one piece: what is put together of many is gone through again with each write.
  return Buffer.from(text, "latin1").toString("latin1");
}
