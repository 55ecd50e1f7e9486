import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Builtin, Caller, Conversation } from "../builtins/builtin.ts";
import { isForNobody } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { ACCEPTED } from "./link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "./link.ts";

/** A client's way to a server that is part of the daemon. Of the end of that its generation tells. */
export class BuiltinLink implements Link {
  readonly #conversation: Conversation;
  readonly #events: LinkEvents;
  #isOver = false;

  constructor(server: Builtin, caller: Caller, events: LinkEvents) {
    this.#events = events;
    const broke = (failure: SupervisorError): void => this.#broke(failure);
    const hear = guarded("session", broke, (raw: Buffer, answer: Message | undefined) =>
      this.#hear(raw, answer),
    );
    this.#conversation = server.open(caller, hear);
  }

  async post({ messages }: Posting): Promise<PostAnswer> {
    for (const message of messages) {
      if (this.#isOver) throw new SupervisorError("UPSTREAM_RESET", "the server has ended");
      if (!isForNobody(message)) this.#conversation.receive(message);
    }
    return ACCEPTED;
  }

  /** It answers what it is asked, and what it said would wait here uncounted: it waits with the client's stream, to the limit of that. */
  pause(): void {}

  resume(): void {}

  /** It takes what it is told at once. */
  unsent(): readonly string[] {
    return [];
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#conversation.close();
  }

  abandon(): void {
    this.close();
  }

  #hear(raw: Buffer, answer: Message | undefined): void {
    if (!this.#isOver) this.#events.listener.onMessage(raw, answer?.id, answer);
  }

  #broke(failure: SupervisorError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onClosed(failure);
  }
}
