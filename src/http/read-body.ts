import type { IncomingMessage } from "node:http";
import { SupervisorError } from "../errors.ts";
import { sizeText } from "../platform/sizes.ts";
import type { BodySink } from "../platform/body-request.ts";
import type { HttpRequest } from "./exchange.ts";
import type { IncomingBody } from "./body-watch.ts";
import type { Edge } from "./edge.ts";

type Incoming = Pick<HttpRequest, "headers" | "socket" | "takeBody">;

const EMPTY = Buffer.alloc(0);
/** What is read and dropped of a body that nobody wants any more before the connection goes too. */
export const MAX_DROPPED_BYTES = 16 * 1024 * 1024;

const NOBODY: BodySink = { chunk: () => {}, end: () => {}, gone: () => {} };

/**
 * Reads and drops a body where none is wanted. Unread, it would keep the connection from being read,
 * and so a client that leaves from being noticed.
 */
export function dropBody(req: Incoming): void {
  const { headers } = req;
  if (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined)
    // A client that asks first (100-continue) is not told to send it where the answer is there at once.
    process.nextTick(() => req.takeBody(NOBODY));
}

/** Whether the body is said to be JSON: a page of another site cannot say so without asking first (CORS). */
export const isJson = ({ headers }: Pick<IncomingMessage, "headers">): boolean =>
  /^application\/json\s*(?:;|$)/i.test(headers["content-type"] ?? "");

/** Throws TYPE_UNSUPPORTED for any other body. */
export function requireJson(req: Pick<IncomingMessage, "headers">): void {
  if (!isJson(req))
    throw new SupervisorError("TYPE_UNSUPPORTED", "the body must be application/json");
}

/**
 * The whole body, at once where it is all there, as nearly every one is; else a promise of it, which
 * resolves with undefined when the client left before it was whole. Throws or rejects with
 * REQUEST_TIMEOUT where it stands still or drips, and with BODY_TOO_LARGE as soon as that is known;
 * the rest is read and dropped, so that a client which is still sending gets to see the answer.
 */
export function readBody(
  req: Incoming,
  limitBytes: number,
  edge: Pick<Edge, "watch" | "unwatch">,
): Buffer | Promise<Buffer | undefined> {
  return new WholeBody(req, limitBytes, edge).read();
}

type Settled = { readonly body: Buffer | undefined } | { readonly error: SupervisorError };

interface Waiting {
  readonly incoming: IncomingBody;
  readonly resolve: (body: Buffer | undefined) => void;
  readonly reject: (error: SupervisorError) => void;
}

class WholeBody implements BodySink {
  readonly #req: Incoming;
  readonly #limitBytes: number;
  readonly #edge: Pick<Edge, "watch" | "unwatch">;
  #received = 0;
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #settled: Settled | undefined;
  /** Nothing more of it comes. */
  #isOver = false;
  #waiting: Waiting | undefined;

  constructor(req: Incoming, limitBytes: number, edge: Pick<Edge, "watch" | "unwatch">) {
    this.#req = req;
    this.#limitBytes = limitBytes;
    this.#edge = edge;
  }

  read(): Buffer | Promise<Buffer | undefined> {
    if (Number(this.#req.headers["content-length"] ?? 0) > this.#limitBytes) this.#refuseSize();
    this.#req.takeBody(this);
    const settled = this.#settled;
    if (this.#isOver && settled !== undefined && "body" in settled && settled.body !== undefined)
      return settled.body;
    return this.#wait();
  }

  /** Watched over until nothing more of it comes, refused or not. */
  #wait(): Promise<Buffer | undefined> {
    return new Promise((resolve, reject) => {
      const late = (): void => this.#refuse("REQUEST_TIMEOUT", "the body did not arrive in time");
      const incoming = this.#edge.watch(late);
      incoming.received = this.#received;
      this.#waiting = { incoming, resolve, reject };
      if (this.#isOver) this.#edge.unwatch(incoming);
      if (this.#settled !== undefined) this.#settle(this.#settled);
    });
  }

  chunk(bytes: Buffer): void {
    this.#received += bytes.length;
    if (this.#waiting !== undefined) this.#waiting.incoming.received = this.#received;
    if (this.#settled !== undefined) {
      if (this.#received > this.#limitBytes + MAX_DROPPED_BYTES) this.#req.socket.destroy();
    } else if (this.#received > this.#limitBytes) {
      this.#refuseSize();
    } else if (this.#first === undefined) {
      this.#first = bytes;
    } else {
      (this.#more ??= [this.#first]).push(bytes);
    }
  }

  end(): void {
    this.#over(this.#more === undefined ? (this.#first ?? EMPTY) : Buffer.concat(this.#more));
  }

  gone(): void {
    this.#over(undefined);
  }

  #over(body: Buffer | undefined): void {
    this.#isOver = true;
    if (this.#waiting !== undefined) this.#edge.unwatch(this.#waiting.incoming);
    this.#settle(this.#settled ?? { body });
  }

  #settle(settled: Settled): void {
    this.#settled = settled;
    if ("error" in settled) this.#waiting?.reject(settled.error);
    else this.#waiting?.resolve(settled.body);
  }

  #refuseSize(): void {
    const limit = sizeText(this.#limitBytes);
    this.#refuse("BODY_TOO_LARGE", `the body is over ${limit}, which is the limit`);
  }

  #refuse(code: "BODY_TOO_LARGE" | "REQUEST_TIMEOUT", message: string): void {
    if (this.#settled !== undefined) return void this.#req.socket.destroy();
    this.#first = undefined;
    this.#more = undefined;
    this.#settle({ error: new SupervisorError(code, message) });
  }
}
