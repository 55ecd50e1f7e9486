import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import { messageEventParts } from "../mcp/sse.ts";
import { emitMessage } from "./bridged-answer.ts";
import type { EventLog } from "./event-log.ts";
import type { NumberedStream } from "./numbered-stream.ts";
import type { HttpOutlet } from "./outlet.ts";
import type { Unread } from "./unread.ts";
import { LazySet } from "../platform/lazy.ts";

/** Which can be made to wait. */
interface Server {
  pause(): void;
  resume(): void;
}

/**
 * What goes out to the client of a Streamable HTTP session, on whatever stream, and what waits for
 * one: the server waits while one of them is full, where it serves this session alone.
 */
export class Flow {
  /** Counts what waits for the client to read. */
  readonly all: Unread;
  readonly #log: EventLog<NumberedStream>;
  readonly #slow = new LazySet<HttpOutlet>();
  #server: Server | undefined;

  constructor(log: EventLog<NumberedStream>, unread: Unread) {
    this.#log = log;
    this.all = unread;
  }

  use(server: Server): void {
    this.#server = server;
  }

  /** The client has left it. */
  delete(outlet: HttpOutlet): void {
    this.all.delete(outlet);
    this.#drained(outlet);
  }

  emit(outlet: HttpOutlet, raw: Text, message: Message): void {
    if (emitMessage(outlet, raw, [message]) || this.#slow.has(outlet)) return;
    this.#slow.add(outlet);
    this.#server?.pause();
    outlet.onceDrained(() => this.#drained(outlet));
  }

  /** It waits for a stream to come. */
  keep(raw: Text): void {
    this.#log.await(messageEventParts(raw));
  }

  #drained(outlet: HttpOutlet): void {
    if (this.#slow.delete(outlet) && this.#slow.size === 0) this.#server?.resume();
  }
}
