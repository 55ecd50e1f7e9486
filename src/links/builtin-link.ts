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
  /** What was said while nobody reads; undefined while somebody does. */
  #unread: { readonly raw: Buffer; readonly answer: Message | undefined }[] | undefined;
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

  pause(): void {
    this.#unread ??= [];
  }

  resume(): void {
    const unread = this.#unread ?? [];
    this.#unread = undefined;
    for (const { raw, answer } of unread) this.#hear(raw, answer);
  }

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
    if (this.#isOver) return;
    if (this.#unread !== undefined) this.#unread.push({ raw, answer });
    else this.#events.listener.onMessage(raw, answer?.id, answer);
  }

  #broke(failure: SupervisorError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onClosed(failure);
  }
}
