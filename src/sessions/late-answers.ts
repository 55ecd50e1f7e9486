import { isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import type { EventPart } from "../mcp/sse.ts";
import { LazySet } from "../platform/lazy.ts";

/** Ids that are remembered at once; the oldest is forgotten for a new one, so that a server that takes nothing fills no memory. */
const MAX_IDS = 1000;
/** What is held of one event until it is known whose answer it is; a longer one passes, and clients ignore an answer they do not wait for. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/**
 * Answers that must not reach the client any more: it was told that the request had failed, and the
 * server, which had the message after all, answers nevertheless. JSON-RPC knows one answer a request.
 */
export class LateAnswers {
  readonly #ids = new LazySet<string>();
  #held: Buffer[] = [];
  #heldBytes = 0;
  #isPassing = false;

  /** The requests of these ids (canonical JSON text) have been answered in the server's place. */
  expect(ids: readonly string[]): void {
    for (const id of ids) {
      this.#ids.add(id);
      const [oldest] = this.#ids;
      if (this.#ids.size > MAX_IDS) this.#ids.delete(oldest!);
    }
  }

  /** The client asks under this id again: the next answer is to that. */
  forget(messages: readonly Message[]): void {
    if (this.#ids.size > 0) for (const { id } of messages) this.#ids.delete(id ?? "");
  }

  /** True where one of the messages is such an answer, which is then done with. */
  take(messages: readonly Message[]): boolean {
    if (this.#ids.size === 0) return false;
    return messages.some((message) => isResponse(message) && this.#ids.delete(message.id!));
  }

  /**
   * As `take`, for a stream whose events come in parts: gives the bytes to pass on, undefined for
   * none, be it that the event is such an answer or that it is not known yet.
   */
  sift(part: EventPart): Buffer | undefined {
    const isHolding = this.#heldBytes > 0;
    // An event whose first part has gone out is finished, whatever it is.
    if (this.#isPassing || (this.#ids.size === 0 && !isHolding)) {
      this.#isPassing = !part.isLast;
      return part.bytes;
    }
    if (part.isLast && this.take(part.messages)) {
      this.#release();
      return undefined;
    }
    if (part.isLast && !isHolding) return part.bytes;
    this.#held.push(part.bytes);
    this.#heldBytes += part.bytes.length;
    if (!part.isLast && this.#heldBytes <= MAX_HELD_BYTES) return undefined;
    this.#isPassing = !part.isLast;
    return this.#release();
  }

  #release(): Buffer {
    const bytes = Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return bytes;
  }
}
