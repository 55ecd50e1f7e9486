import { canonicalId, isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Usage } from "../supervisor/supervisor.ts";

/** The requests of one session that wait for an answer, by id. Counts them into the instance's usage. */
export class InFlight {
  readonly #ids = new Set<string>();
  readonly #usage: Usage;

  constructor(usage: Usage) {
    this.#usage = usage;
  }

  /** Takes note of what the client sends, before it is sent: the answer may overtake the POST's own. */
  sent(messages: readonly Message[], body: Buffer): void {
    for (const message of messages) {
      if (isRequest(message)) {
        if (!this.#ids.has(message.id!)) this.#usage.inFlight += 1;
        this.#ids.add(message.id!);
        // A ping asks nothing of the server, so it does not keep a child.
        if (message.method !== "ping") this.#usage.lastMessageAt = performance.now();
      } else if (message.method === "notifications/cancelled") {
        this.#cancel(body);
      }
    }
  }

  /** Takes note of what the server sends. */
  received(messages: readonly Message[]): void {
    for (const message of messages) if (isResponse(message)) this.#delete(message.id!);
  }

  /** Forgets requests that the server refused to take. */
  refused(messages: readonly Message[]): void {
    for (const message of messages) if (isRequest(message)) this.#delete(message.id!);
  }

  /** The ids that nobody will answer any more, as JSON text; forgets them. */
  drain(): string[] {
    const ids = [...this.#ids];
    for (const id of ids) this.#delete(id);
    return ids;
  }

  #delete(id: string): void {
    if (this.#ids.delete(id)) this.#usage.inFlight -= 1;
  }

  /** A cancelled request gets no answer (MCP, cancellation), so waiting for one would never end. */
  #cancel(body: Buffer): void {
    const value: unknown = JSON.parse(body.toString("utf8"), canonicalRequestId);
    for (const part of Array.isArray(value) ? value : [value]) {
      const { method, params } = part as { method?: unknown; params?: { requestId?: unknown } };
      const id = params?.requestId;
      if (method === "notifications/cancelled" && typeof id === "string") this.#delete(id);
    }
  }
}

/** Reviver for JSON.parse that keeps request ids as `canonicalId` has them: as a number, one beyond 2^53 would be another. */
function canonicalRequestId(key: string, value: unknown, context?: { source?: string }): unknown {
  if (key !== "requestId") return value;
  if (typeof value === "string") return JSON.stringify(value);
  return typeof value === "number" ? canonicalId(context?.source ?? String(value)) : undefined;
}
