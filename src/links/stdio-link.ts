import { SupervisorError } from "../errors.ts";
import { guarded } from "../containment.ts";
import { isForNobody } from "../mcp/envelope.ts";
import { ACCEPTED } from "./link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "./link.ts";
import type { SharedStdio } from "./shared-stdio.ts";
import type { StdioClient } from "./stdio-client.ts";

/** A session's place on a stdio child, which may have others. */
export class StdioLink implements Link {
  readonly #shared: SharedStdio;
  readonly #client: StdioClient;
  readonly #events: LinkEvents;
  #isOver = false;

  constructor(shared: SharedStdio, events: LinkEvents) {
    this.#shared = shared;
    this.#events = events;
    // What a message breaks is its session's: the child has others, and took no part in it.
    const broke = (failure: SupervisorError): void => this.#broke(failure);
    this.#client = {
      askable: events.askable,
      receive: guarded("session", broke, (raw, about, message) => {
        // What is left in the pipe of a child that has ended answers calls that have failed already.
        if (!this.#isOver) events.listener.onMessage(raw, about, message);
      }),
      dropped: guarded("session", broke, (id, error) => {
        if (!this.#isOver) events.listener.onDropped(id, error);
      }),
    };
    try {
      shared.open(this.#client);
    } catch (error) {
      // Half a session must not stay on the child.
      this.close();
      throw error;
    }
  }

  async post({ messages }: Posting): Promise<PostAnswer> {
    for (const message of messages) {
      if (this.#isOver) throw new SupervisorError("UPSTREAM_RESET", "the child has ended");
      if (!isForNobody(message)) await this.#shared.send(this.#client, message);
    }
    return ACCEPTED;
  }

  pause(): void {
    this.#shared.pause();
  }

  resume(): void {
    this.#shared.resume();
  }

  unsent(): readonly string[] {
    return this.#shared.unsent(this.#client);
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#shared.close(this.#client);
  }

  /** The child itself has told SharedStdio of its end. */
  abandon(): void {
    this.#isOver = true;
  }

  #broke(failure: SupervisorError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onClosed(failure);
  }
}
