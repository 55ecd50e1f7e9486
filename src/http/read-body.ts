import type { IncomingMessage } from "node:http";
import { SupervisorError } from "../errors.ts";
import { sizeText } from "../platform/sizes.ts";
import type { BodySink } from "../platform/body-request.ts";
import type { HttpRequest } from "./exchange.ts";
import type { IncomingBody } from "./body-watch.ts";
import type { Edge } from "./edge.ts";

type Incoming = Pick<HttpRequest, "headers" | "socket" | "takeBody">;

const EMPTY = Buffer.alloc(0);
/** What is read and dropped of a body over the limit before the connection goes too. */
const MAX_DROPPED_BYTES = 16 * 1024 * 1024;

const NOBODY: BodySink = { chunk: () => {}, end: () => {}, gone: () => {} };

/**
 * Reads and drops a body where none is wanted. Unread, it would keep the connection from being read,
 * and so a client that leaves from being noticed.
 */
export function dropBody(req: Incoming): void {
  const { headers } = req;
  if (headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined)
    req.takeBody(NOBODY);
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
 * Resolves with the whole body, or undefined when the client left before it was whole. Rejects with
 * REQUEST_TIMEOUT where it stands still or drips, and with BODY_TOO_LARGE as soon as that is known;
 * the rest is read and dropped, so that a client which is still sending gets to see the answer.
 */
export function readBody(
  req: Incoming,
  limitBytes: number,
  edge: Pick<Edge, "watch" | "unwatch">,
): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    new WholeBody({ req, limitBytes, edge, resolve, reject }).read();
  });
}

interface WholeBodyOptions {
  readonly req: Incoming;
  readonly limitBytes: number;
  readonly edge: Pick<Edge, "watch" | "unwatch">;
  readonly resolve: (body: Buffer | undefined) => void;
  readonly reject: (error: SupervisorError) => void;
}

class WholeBody implements BodySink {
  readonly #options: WholeBodyOptions;
  readonly #incoming: IncomingBody;
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #isRefused = false;

  constructor(options: WholeBodyOptions) {
    this.#options = options;
    this.#incoming = options.edge.watch(() =>
      this.#refuse("REQUEST_TIMEOUT", "the body did not arrive in time"),
    );
  }

  read(): void {
    const { req, limitBytes } = this.#options;
    if (Number(req.headers["content-length"] ?? 0) > limitBytes) this.#refuseSize();
    req.takeBody(this);
  }

  chunk(bytes: Buffer): void {
    const { req, limitBytes } = this.#options;
    this.#incoming.received += bytes.length;
    const { received } = this.#incoming;
    if (this.#isRefused) {
      if (received > limitBytes + MAX_DROPPED_BYTES) req.socket.destroy();
    } else if (received > limitBytes) {
      this.#refuseSize();
    } else if (this.#first === undefined) {
      this.#first = bytes;
    } else {
      (this.#more ??= [this.#first]).push(bytes);
    }
  }

  end(): void {
    const { edge, resolve } = this.#options;
    edge.unwatch(this.#incoming);
    resolve(this.#more === undefined ? (this.#first ?? EMPTY) : Buffer.concat(this.#more));
  }

  gone(): void {
    const { edge, resolve } = this.#options;
    edge.unwatch(this.#incoming);
    resolve(undefined);
  }

  #refuseSize(): void {
    const { limitBytes } = this.#options;
    this.#refuse("BODY_TOO_LARGE", `the body is over ${sizeText(limitBytes)}, which is the limit`);
  }

  #refuse(code: "BODY_TOO_LARGE" | "REQUEST_TIMEOUT", message: string): void {
    const { req, reject } = this.#options;
    if (this.#isRefused) return void req.socket.destroy();
    this.#isRefused = true;
    this.#first = undefined;
    this.#more = undefined;
    reject(new SupervisorError(code, message));
  }
}
