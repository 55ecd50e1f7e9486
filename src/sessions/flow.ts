import type { Text } from "../mcp/long-text.ts";
import { emitMessage } from "./bridged-answer.ts";
import type { HttpOutlet } from "./outlet.ts";
import type { Unread, Waiting } from "./unread.ts";

/** Which can be made to wait. */
interface Server {
  pause(): void;
  resume(): void;
}

/**
 * What goes out to the client of a bridged Streamable HTTP session, on whatever stream, and what waits
 * for one: the server waits while one of them is full, where it serves this session alone.
 */
export class Flow implements Waiting {
  readonly #maxKept: number;
  /** Counts what waits for the client. */
  readonly all: Unread;
  readonly #slow = new Set<HttpOutlet>();
  #server: Server | undefined;
  #kept: Text[] = [];
  #keptBytes = 0;

  /** `maxKept`: how many messages may wait for a stream to come. */
  constructor(maxKept: number, unread: Unread) {
    this.#maxKept = maxKept;
    this.all = unread;
    unread.add(this);
  }

  /** Bytes that wait for a stream to come. */
  get unread(): number {
    return this.#keptBytes;
  }

  use(server: Server): void {
    this.#server = server;
  }

  /** The client has left it. */
  delete(outlet: HttpOutlet): void {
    this.all.delete(outlet);
    this.#drained(outlet);
  }

  emit(outlet: HttpOutlet, raw: Text): void {
    if (emitMessage(outlet, raw) || this.#slow.has(outlet)) return;
    this.#slow.add(outlet);
    this.#server?.pause();
    outlet.onceDrained(() => this.#drained(outlet));
  }

  keep(raw: Text): void {
    if (this.#kept.length >= this.#maxKept) return;
    this.#kept.push(raw);
    this.#keptBytes += raw.length;
  }

  takeKept(): Text[] {
    const kept = this.#kept;
    this.#kept = [];
    this.#keptBytes = 0;
    return kept;
  }

  #drained(outlet: HttpOutlet): void {
    if (this.#slow.delete(outlet) && this.#slow.size === 0) this.#server?.resume();
  }
}
