import { contained, guarded } from "../containment.ts";
import type { StreamableResponse } from "../http/exchange.ts";
import { COLON } from "../mcp/bytes.ts";
import { HEARTBEAT, formatEvent } from "../mcp/sse.ts";
import { ONE_WRITE_BYTES } from "../platform/framed-write.ts";

/** Below every read timeout seen in the field: Langflow 30 s, proxies 60 s and up. */
const HEARTBEAT_MS = 15_000;

const HEARTBEAT_BYTES = Buffer.from(HEARTBEAT);

const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  // nginx would hold events back, caches and compressors too.
  "cache-control": "no-cache, no-transform",
  "x-accel-buffering": "no",
};

/** One timer for all streams: a timer each would cost more than the beat. */
export class Heart {
  readonly #streams = new Set<ClientStream>();
  readonly #timer: NodeJS.Timeout;
  /** What streams end with. */
  farewell: Buffer | undefined;

  constructor(everyMs = HEARTBEAT_MS) {
    this.#timer = setInterval(() => {
      for (const stream of this.#streams) stream.beat();
    }, everyMs);
    this.#timer.unref();
  }

  add(stream: ClientStream): void {
    this.#streams.add(stream);
  }

  delete(stream: ClientStream): void {
    this.#streams.delete(stream);
  }

  /**
   * From here on the end of a stream tells its client to come back so long after it (WHATWG HTML,
   * 9.2.6: `retry`). No blank line follows, since some clients take an event of nothing else for a message.
   */
  announceReturn(afterMs: number): void {
    this.farewell = Buffer.from(`retry: ${afterMs}\n`);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** An event stream to a client. Puts its own comments and events only between those of the server. */
export class ClientStream {
  readonly #res: StreamableResponse;
  readonly #heart: Heart;
  #isMidEvent = false;
  #isBeatDue = false;
  #isOver = false;
  #unsent = "";
  #lastMessageAt: number | undefined;

  /** Sends the head at once, with a first comment: some clients wait for a byte, not for the head. */
  constructor(
    res: StreamableResponse,
    heart: Heart,
    status = 200,
    headers: Readonly<Record<string, string>> = {},
  ) {
    this.#res = res;
    this.#heart = heart;
    res.writeHead(status, { ...STREAM_HEADERS, ...headers });
    res.writePart(HEARTBEAT);
    heart.add(this);
    res.once("close", () => heart.delete(this));
  }

  part(bytes: Buffer, isLast: boolean): boolean {
    // A child's last words may come after its end; Node takes a write behind the end for our failure.
    if (this.#isOver) return true;
    this.#isMidEvent = !isLast;
    if (bytes[0] !== COLON) this.#lastMessageAt = performance.now();
    this.#put(bytes);
    if (this.#isBeatDue && isLast) this.beat();
    return this.#isFlowing;
  }

  /** When (`performance.now()`) it last carried a message, of whomever; comments and the endpoint are none. */
  get lastMessageAt(): number | undefined {
    return this.#lastMessageAt;
  }

  /** Takes a whole event, as latin1, and the line with its id. */
  event(idLine: string, text: string): boolean {
    if (this.#isOver) return true;
    this.#isMidEvent = false;
    this.#lastMessageAt = performance.now();
    this.#putText(idLine + text);
    if (this.#isBeatDue) this.beat();
    return this.#isFlowing;
  }

  /** The first event of HTTP with SSE, which is no message; its id says where the client goes on. */
  endpoint(path: string, id: string): void {
    this.#put(Buffer.from(`id: ${id}\n${formatEvent("endpoint", path)}`));
  }

  /** Puts an event of the gateway's own on the stream; ends the stream where an event was cut in the middle. */
  say(text: string): void {
    if (this.#isOver) return;
    this.#lastMessageAt = performance.now();
    if (this.#isMidEvent) this.end();
    else this.#put(Buffer.from(text));
  }

  /** Bytes that the client has not taken yet; a client that takes none for a while is ended by the edge. */
  get unread(): number {
    return this.#unsent.length + this.#res.writableLength;
  }

  beat(): void {
    try {
      this.#isBeatDue = this.#isMidEvent;
      // A client that does not read has its socket full; more bytes would only fill memory.
      if (!this.#isMidEvent && this.#isFlowing) this.#put(HEARTBEAT_BYTES);
    } catch (error) {
      this.#broke(error);
    }
  }

  onceDrained(resume: () => void): void {
    const broke = (): void => void this.#res.destroy();
    (this.#res.socket ?? this.#res).once("drain", guarded("request", broke, resume));
  }

  end(): void {
    const { farewell } = this.#heart;
    if (farewell !== undefined && !this.#isMidEvent && !this.#isOver) this.#put(farewell);
    this.#flush();
    this.#isOver = true;
    this.#heart.delete(this);
    this.#res.end();
  }

  get #isFlowing(): boolean {
    return !(this.#res.socket ?? this.#res).writableNeedDrain;
  }

  /** Small parts of one tick leave together. */
  #put(bytes: Buffer): void {
    if (bytes.length > ONE_WRITE_BYTES) {
      this.#flush();
      this.#res.writePart(bytes);
      return;
    }
    // Latin-1 keeps every byte.
    this.#putText(bytes.toString("latin1"));
  }

  #putText(text: string): void {
    if (text.length > ONE_WRITE_BYTES) {
      this.#flush();
      this.#res.writePart(text);
      return;
    }
    if (this.#unsent === "") process.nextTick(flushLater, this);
    this.#unsent += text;
  }

  /** The tick is over. */
  flush(): void {
    try {
      this.#flush();
    } catch (error) {
      this.#broke(error);
    }
  }

  #flush(): void {
    const text = this.#unsent;
    this.#unsent = "";
    if (text !== "" && !this.#res.destroyed) this.#res.writePart(text);
  }

  /** Half an event may be out, so nothing can be said on it any more. */
  #broke(error: unknown): void {
    contained("request", error);
    this.#res.destroy();
  }
}

/** One for all streams: most are open for long with nothing to say, and functions of their own would be the larger part of them. */
const flushLater = (stream: ClientStream): void => stream.flush();
