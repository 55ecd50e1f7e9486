import { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { contained } from "../containment.ts";

/** Whoever takes a body. Hears of exactly one of `end` and `gone`, after which of nothing. */
export interface BodySink {
  chunk(bytes: Buffer): void;
  /** The body is whole. */
  end(): void;
  /** The client has left before it was whole. */
  gone(): void;
}

/**
 * A request whose body can be taken as the parser finds it.
 *
 * As a stream every body costs its listeners and five turns of Node's queue, a third of the whole
 * request; nearly every body here is one piece that was read together with its head.
 */
export class BodyRequest extends IncomingMessage {
  /** Of one that asks to go on as a WebSocket: its connection, and what has come behind its head. */
  tunnel: { readonly socket: Socket; readonly head: Buffer } | undefined;
  #sink: BodySink | undefined;
  #asksForUpgrade = false;

  /**
   * Node's parser says so of every request with an Upgrade header, and then asks. Where somebody
   * listens for upgrades it would hand over those too that ask for HTTP/2, as some clients do with
   * every request, and leave their bodies unread.
   */
  set upgrade(asks: boolean | null) {
    // Node's constructor sets it before there is a place for it.
    if (#asksForUpgrade in this) this.#asksForUpgrade = asks === true;
  }

  get upgrade(): boolean {
    if (!(#asksForUpgrade in this) || !this.#asksForUpgrade) return false;
    const isWebSocket = this.headers.upgrade?.toLowerCase() === "websocket";
    return this.method === "CONNECT" || (this.method === "GET" && isWebSocket);
  }

  /** To be called once, and in place of reading the stream. */
  takeBody(sink: BodySink): void {
    if (this.destroyed) return sink.gone();
    // What waits for the reading to begin (100-continue) hears of it as it would of a stream's.
    this.emit("resume");
    // Read once, or Node would take the body for one that nobody wants and drop what is left of it.
    const early = this.read() as Buffer | null;
    this.#sink = sink;
    if (early !== null) sink.chunk(early);
    if (this.complete) this.#end();
  }

  /** Where Node's parser puts the body, piece by piece, and null for its end. */
  override push(chunk: Buffer | null, encoding?: BufferEncoding): boolean {
    if (this.#sink === undefined) return super.push(chunk, encoding);
    try {
      if (chunk !== null) {
        this.#sink.chunk(chunk);
        return true;
      }
      this.#end();
    } catch (error) {
      // Node's parser called, which knows nothing of sinks.
      contained("request", error);
      this.socket.destroy();
      return true;
    }
    return super.push(null);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#sink?.gone();
    this.#sink = undefined;
    // eslint-disable-next-line no-underscore-dangle -- so Node names what a stream may override
    super._destroy(error, callback);
  }

  #end(): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.end();
  }
}
