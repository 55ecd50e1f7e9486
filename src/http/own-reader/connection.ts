import type { Socket } from "node:net";
import { contained } from "../../containment.ts";
import type { StreamableResponse, HttpRequest } from "../exchange.ts";
import { readHead } from "./head.ts";
import type { OwnHead, OwnMethod } from "./head.ts";
import { OwnRequest } from "./request.ts";
import { OwnResponse } from "./response.ts";
import type { AnswerHolder } from "./response.ts";

const MAX_HEAD_BYTES = 16 * 1024;
/** A client sends two or three heads in turns: with a message, with a cancellation, with another token. */
const MAX_HEADS = 4;
/** What is kept of the requests behind the one that is under way before the client is not read any more. */
const MAX_AHEAD_BYTES = 64 * 1024;

/** What is no message: cut off in the middle, or not begun in time. */
export type Refused = "cut" | "late";

/** What a connection needs of the listener. */
export interface ConnectionOwner {
  /** How long a connection waits for its next request, as a header says it. */
  readonly keepAlive: string;
  /** Whether more requests are taken on connections that are open. */
  readonly isListening: boolean;
  /** Whether a request to this target is for the own reader. */
  isHot(method: OwnMethod, url: string): boolean;
  handle(request: HttpRequest, response: StreamableResponse): void;
  /** The connection is Node's from here on, with the bytes that nobody has read. */
  handOver(socket: Socket, unread: Buffer): void;
  /** Says, where no request is there to be answered, what is wrong with what came, and ends the connection. */
  refuse(socket: Socket, why: Refused): void;
  /** The connection is closed, or another's. */
  forget(connection: OwnConnection): void;
}

/** A head that may come again, all bytes of it as latin1. */
interface KnownHead {
  readonly text: string;
  readonly head: OwnHead;
}

/** What is to come of a request, as far as its connection has to know. */
type Body = Pick<OwnRequest, "left" | "isTaken" | "push" | "drop" | "gone">;

interface Message {
  readonly request: Body;
  readonly response: OwnResponse;
}

type State =
  /** For the first byte of a message. */
  | { readonly kind: "waiting" }
  | { readonly kind: "message"; readonly message: Message }
  /** The last answer is out; what is left of its request's body is dropped, so that the client gets to read the answer. */
  | { readonly kind: "closing"; readonly message: Message }
  /** Closed, or another's. */
  | { readonly kind: "over" };

const NO_HEADS: readonly KnownHead[] = [];
/** Of a request for a stream, which is open for long: its head is kept by nobody who does not want it. */
const NO_BODY: Body = { left: 0, isTaken: true, push: (bytes) => bytes, drop() {}, gone() {} };
const WAITING: State = { kind: "waiting" };
const OVER: State = { kind: "over" };

/**
 * A connection as long as it sends requests to hot routes, one behind the other, in the strict subset
 * of HTTP/1.1 that `readHead` takes. At the first that is none it goes to Node's server, between two
 * messages, with every byte that was not read, and never comes back: it has one owner at each time.
 */
export class OwnConnection implements AnswerHolder {
  readonly socket: Socket;
  /** Sweeps of the owner since anything happened here. */
  quietFor = 0;
  /** Those since its last answer was out. */
  closingFor = 0;
  /** Nothing has come over it yet. */
  isFresh = true;
  readonly #owner: ConnectionOwner;
  #heads: readonly KnownHead[] = NO_HEADS;
  #state: State = WAITING;
  #ahead: Buffer | undefined;

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.socket = socket;
    this.#owner = owner;
  }

  get keepAlive(): string {
    return this.#owner.keepAlive;
  }

  get mayGoOn(): boolean {
    return this.#state.kind === "message" && this.#state.message.request.left === 0
      ? this.#owner.isListening
      : false;
  }

  /** Nothing is asked or answered here now. */
  get isIdle(): boolean {
    return this.#state.kind === "waiting";
  }

  /** The answer is out, and the client neither reads nor ends. */
  get isClosing(): boolean {
    return this.#state.kind === "closing";
  }

  /** Ends it with a word. */
  refuse(why: Refused): void {
    this.#guarded(() => {
      this.#over();
      this.#owner.refuse(this.socket, why);
    });
  }

  answered(isKept: boolean): void {
    if (this.#state.kind !== "message") return;
    const { message } = this.#state;
    this.quietFor = 0;
    if (!isKept || message.request.left > 0) return this.#close(message);
    this.#state = WAITING;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    this.socket.resume();
    if (ahead !== undefined) this.#guarded(() => this.#begin(ahead));
  }

  onData(bytes: Buffer): void {
    this.#guarded(() => this.#take(bytes));
  }

  onEnd(): void {
    const state = this.#state;
    const isCut = state.kind === "message" && state.message.request.left > 0;
    if (isCut && !state.message.response.headersSent) {
      this.refuse("cut");
    } else {
      this.socket.end();
    }
  }

  onClose(): void {
    this.#guarded(() => this.#over());
  }

  #take(bytes: Buffer): void {
    this.quietFor = 0;
    this.isFresh = false;
    const state = this.#state;
    if (state.kind === "waiting") return this.#begin(bytes);
    if (state.kind === "over") return;
    const { request } = state.message;
    const behind = request.left > 0 ? request.push(bytes) : bytes;
    if (state.kind === "closing") {
      // Of what is behind the last request nothing is wanted.
      if (request.left === 0) this.socket.destroySoon();
    } else if (behind !== undefined) {
      this.#ahead = this.#ahead === undefined ? behind : Buffer.concat([this.#ahead, behind]);
      if (this.#ahead.length > MAX_AHEAD_BYTES) this.socket.pause();
    }
  }

  #begin(bytes: Buffer): void {
    const end = bytes.indexOf("\r\n\r\n");
    const head = end === -1 || end > MAX_HEAD_BYTES ? undefined : this.#headIn(bytes, end);
    if (head === undefined) return this.#handOver(bytes);
    const body = bytes.subarray(end + 4);
    // Who sends the next one along waits for no answer, and Node handles both at once.
    if (body.length > head.contentLength) return this.#handOver(bytes);
    const request = new OwnRequest(this.socket, head);
    const isStream = head.method === "GET";
    const message = { request: isStream ? NO_BODY : request, response: new OwnResponse(this) };
    this.#state = { kind: "message", message };
    if (isStream) this.#heads = NO_HEADS;
    request.push(body);
    this.#owner.handle(request, message.response);
    // The rest waits in the kernel until somebody wants it.
    if (request.left > 0 && !request.isTaken) this.socket.pause();
  }

  #headIn(bytes: Buffer, end: number): OwnHead | undefined {
    const text = bytes.toString("latin1", 0, end);
    for (const known of this.#heads) if (known.text === text) return known.head;
    const head = readHead(text);
    if (head === undefined || !this.#owner.isHot(head.method, head.url)) return undefined;
    if (head.method === "POST")
      this.#heads = this.#heads.slice(1 - MAX_HEADS).concat({ text, head });
    return head;
  }

  #handOver(bytes: Buffer): void {
    this.#over();
    this.#owner.handOver(this.socket, bytes);
  }

  #close(message: Message): void {
    this.#state = { kind: "closing", message };
    if (message.request.left === 0) return this.socket.destroySoon();
    message.request.drop();
    this.socket.end();
    this.socket.resume();
  }

  #over(): void {
    const state = this.#state;
    if (state.kind === "over") return;
    this.#state = OVER;
    this.#ahead = undefined;
    this.#owner.forget(this);
    if (state.kind === "waiting") return;
    state.message.response.cut();
    state.message.request.gone();
  }

  /** What a connection throws costs it and nothing else. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      contained("request", error);
      this.socket.destroy();
    }
  }
}
