import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { cancelledBy } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isForNobody, isRequest } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";
import { ACCEPTED } from "./link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "./link.ts";
import type { ModernCaller, ModernStdio } from "./modern-stdio.ts";

/**
 * A client's way to a child that speaks 2026-07-28 over stdio, which has others. There is no session
 * there: all that the child says belongs to a request, and closing the link cancels those under way.
 */
export class ModernLink implements Link {
  readonly #hub: ModernStdio;
  readonly #events: LinkEvents;
  /** What cancels each request under way, by its id. */
  readonly #cancels = new Map<string, () => void>();
  /** Ids of requests that the child has certainly not read. */
  readonly #unsent: string[] = [];
  #isOver = false;

  constructor(hub: ModernStdio, events: LinkEvents) {
    this.#hub = hub;
    this.#events = events;
  }

  async post({ messages }: Posting): Promise<PostAnswer> {
    for (const message of messages) {
      if (this.#isOver) throw new SupervisorError("UPSTREAM_RESET", "the link is over");
      if (isForNobody(message)) continue;
      if (isRequest(message)) await this.#request(message);
      // The child knows requests by other ids than their client does.
      else if (message.method === "notifications/cancelled") this.#cancel(message);
      else await this.#hub.notify(message.raw);
    }
    return ACCEPTED;
  }

  /** The child has other callers and waits for none of them. */
  pause(): void {}
  resume(): void {}

  unsent(): readonly string[] {
    return this.#unsent;
  }

  close(): void {
    this.#isOver = true;
    for (const cancel of this.#cancels.values()) cancel();
    this.#cancels.clear();
  }

  /** The child itself has told ModernStdio of its end. */
  abandon(): void {
    this.#isOver = true;
    this.#cancels.clear();
  }

  async #request(message: ClientMessage): Promise<void> {
    const id = message.id!;
    const { sent, cancel } = this.#hub.request(message, this.#callerFor(id));
    this.#cancels.set(id, cancel);
    await sent;
  }

  #callerFor(id: string): ModernCaller {
    const { listener } = this.#events;
    const over = (): void => void this.#cancels.delete(id);
    return {
      notify: this.#heard((raw: Text) => listener.onMessage(raw, id)),
      answer: this.#heard((raw: Text, message: Message) => {
        over();
        listener.onMessage(raw, id, message);
      }),
      dropped: this.#heard((error: SupervisorError) => {
        over();
        listener.onDropped(id, error);
      }),
      ended: (isUnread) => {
        if (isUnread) this.#unsent.push(id);
        this.#end(undefined);
      },
    };
  }

  /** What a message breaks is its client's: the child has others, and took no part in it. */
  #heard<A extends readonly unknown[]>(hear: (...args: A) => void): (...args: A) => void {
    const broke = (failure: SupervisorError): void => this.#end(failure);
    return guarded("request", broke, (...args: A) => {
      if (!this.#isOver) hear(...args);
    });
  }

  #cancel(message: ClientMessage): void {
    const id = cancelledBy(message) ?? "";
    this.#cancels.get(id)?.();
    this.#cancels.delete(id);
  }

  #end(failure: SupervisorError | undefined): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onClosed(failure);
  }
}
