import { cancelledBy } from "../mcp/client-body.ts";
import { isRequest } from "../mcp/envelope.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { LazyMap, LazySet } from "../platform/lazy.ts";

/** Requests that wait for a child that is not there yet. Nobody has them but the session. */
export class Waiting {
  readonly #ids = new LazyMap<string, number>();
  readonly #cancelled = new LazySet<string>();

  /** Resolves with those of the messages that are still wanted when the way is there; rejects as `way` does. */
  async during(
    messages: readonly ClientMessage[],
    way: Promise<unknown>,
  ): Promise<readonly ClientMessage[]> {
    this.#add(messages);
    let wanted = messages;
    try {
      await way;
    } finally {
      wanted = this.#take(messages);
    }
    return wanted;
  }

  #add(messages: readonly ClientMessage[]): void {
    for (const message of messages)
      if (isRequest(message)) this.#ids.set(message.id!, (this.#ids.get(message.id!) ?? 0) + 1);
  }

  /** Takes note of what the client says meanwhile: it may not want an answer any more. */
  heard(messages: readonly ClientMessage[]): void {
    for (const message of messages) {
      if (message.method !== "notifications/cancelled") continue;
      const id = cancelledBy(message) ?? "";
      if (this.#ids.has(id)) this.#cancelled.add(id);
    }
  }

  /** Their wait is over; returns those that are still wanted. */
  #take(messages: readonly ClientMessage[]): readonly ClientMessage[] {
    const cancelled = new Set<string>();
    for (const message of messages) {
      if (!isRequest(message)) continue;
      const others = this.#ids.get(message.id!)! - 1;
      if (others > 0) this.#ids.set(message.id!, others);
      else this.#ids.delete(message.id!);
      if (this.#cancelled.delete(message.id!)) cancelled.add(message.id!);
    }
    // Seldom, and for most sessions once.
    if (this.#ids.size === 0) this.#ids.clear();
    if (cancelled.size === 0) return messages;
    return messages.filter((message) => !isRequest(message) || !cancelled.has(message.id!));
  }
}
