import type { Socket } from "node:net";
import type { BodySink } from "../../platform/body-request.ts";
import type { HttpRequest } from "../exchange.ts";
import { MAX_DROPPED_BYTES } from "../read-body.ts";
import type { OwnHead } from "./head.ts";

/** The body goes to whoever takes it, as it comes. */
type Taken =
  | { readonly kind: "untaken"; readonly early: Buffer[] }
  | { readonly kind: "taken"; readonly sink: BodySink }
  /** All of it has come, or nothing more does. */
  | { readonly kind: "over" };

const OVER: Taken = { kind: "over" };

/** A request whose head was read by the own reader; its body comes by `push`. */
export class OwnRequest implements HttpRequest {
  readonly httpVersionMajor = 1;
  readonly socket: Socket;
  readonly #head: OwnHead;
  /** Bytes of the body that have not come yet. */
  left: number;
  #body: Taken = { kind: "untaken", early: [] };

  constructor(socket: Socket, head: OwnHead) {
    this.socket = socket;
    this.#head = head;
    this.left = head.contentLength;
  }

  get method(): OwnHead["method"] {
    return this.#head.method;
  }

  get url(): string {
    return this.#head.url;
  }

  get headers(): OwnHead["headers"] {
    return this.#head.headers;
  }

  get rawHeaders(): string[] {
    return this.#head.rawHeaders;
  }

  /** A stream is asked for once: nothing that is found out of its head is worth keeping. */
  get sameHead(): OwnHead | undefined {
    return this.#head.method === "POST" ? this.#head : undefined;
  }

  /** Whether what comes next is wanted, or dropped. */
  get isTaken(): boolean {
    return this.#body.kind !== "untaken";
  }

  takeBody(sink: BodySink): void {
    if (this.#body.kind !== "untaken") return sink.gone();
    const { early } = this.#body;
    this.#body = { kind: "taken", sink };
    for (const bytes of early) sink.chunk(bytes);
    if (this.left === 0) this.#end();
    else this.socket.resume();
  }

  /** Takes what is this body's of the bytes, and returns what is behind it. */
  push(bytes: Buffer): Buffer | undefined {
    const own = bytes.length > this.left ? bytes.subarray(0, this.left) : bytes;
    this.left -= own.length;
    if (own.length > 0) this.#put(own);
    if (this.left === 0) this.#end();
    return own.length < bytes.length ? bytes.subarray(own.length) : undefined;
  }

  /** What comes from here on is nobody's. */
  drop(): void {
    if (this.#body.kind === "untaken")
      this.#body = { kind: "taken", sink: droppedFrom(this.socket) };
  }

  /** The connection is over. */
  gone(): void {
    const body = this.#body;
    this.#body = OVER;
    if (body.kind === "taken") body.sink.gone();
  }

  #put(bytes: Buffer): void {
    if (this.#body.kind === "taken") return this.#body.sink.chunk(bytes);
    if (this.#body.kind === "untaken") this.#body.early.push(bytes);
  }

  #end(): void {
    const body = this.#body;
    if (body.kind !== "taken") return;
    this.#body = OVER;
    body.sink.end();
  }
}

function droppedFrom(socket: Socket): BodySink {
  let dropped = 0;
  const chunk = ({ length }: Buffer): void => {
    dropped += length;
    if (dropped > MAX_DROPPED_BYTES) socket.destroy();
  };
  return { chunk, end: () => {}, gone: () => {} };
}
