import { contained, guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Instance, Live, Unattached } from "../instances/supervisor.ts";
import type { SharedStdio } from "../links/shared-stdio.ts";
import type { Remembered, StdioClient } from "../links/stdio-client.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";

/** How a session goes on with the next generation of its child. */
export interface Renewal {
  readonly instance: Instance;
  /** The child has ended: what it was asked will not be answered. Called once for each generation. */
  onInterrupted: (live: Live) => void;
  /** The session has a place on the next one, which knows of its subscriptions. */
  onRenewed: (remembered: Remembered) => void;
}

interface Attachment {
  readonly live: Live;
  readonly shared: SharedStdio;
  readonly client: StdioClient;
}

/**
 * A session's place on a shared stdio child. The gateway itself has initialised that child, so
 * another generation of it takes the session over, whichever session started it: one that only
 * listens has no message to come back with. Without a `renewal` the link ends with the child.
 */
export class StdioLink implements MessageLink, Unattached {
  readonly #events: MessageLinkEvents;
  readonly #renewal: Renewal | undefined;
  #attachment: Attachment | undefined;
  #opening: Promise<void> | undefined;
  #remembered: Remembered | undefined;
  #isClosed = false;

  constructor(live: Live, events: MessageLinkEvents, renewal: Renewal | undefined) {
    this.#events = events;
    this.#renewal = renewal;
    this.#attach(live);
  }

  /** Resolves when there is a child to send to, which is started if it is down; undefined where there is one. Rejects with what keeps it from starting. */
  ready(): Promise<void> | undefined {
    const attachment = this.#attachment;
    if (this.#renewal === undefined || this.#isClosed) return undefined;
    if (attachment !== undefined && attachment.live === this.#renewal.instance.live)
      return undefined;
    this.#opening ??= this.#awake(this.#renewal, attachment).finally(
      () => (this.#opening = undefined),
    );
    return this.#opening;
  }

  /** Without a wait between `ready` and here, or a child's end in between would be the new message's end too. */
  send(message: ClientMessage): Promise<void> {
    if (this.#attachment === undefined)
      return Promise.reject(new SupervisorError("UPSTREAM_RESET", "the child has ended"));
    return this.#attachment.shared.send(this.#attachment.client, message);
  }

  pause(): void {
    this.#attachment?.shared.pause();
  }

  resume(): void {
    this.#attachment?.shared.resume();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#renewal?.instance.usage.unattached.delete(this);
    this.#attachment?.shared.close(this.#attachment.client);
  }

  /** Takes a place on the child that is there now, which is told what the session had asked of the last one. */
  attach(live: Live): void {
    const { instance, onRenewed } = this.#renewal!;
    instance.usage.unattached.delete(this);
    try {
      this.#attach(live);
      onRenewed(this.#remembered!);
    } catch (error) {
      this.#end(contained("session", error));
    }
  }

  /** Where there is a child again, the session has been attached on it. */
  async #awake({ instance }: Renewal, attachment: Attachment | undefined): Promise<void> {
    // On its way out it still answers what it was asked; its end is told to `ended` first.
    await attachment?.live.exited;
    await instance.ensure();
  }

  #attach(live: Live): void {
    const { target } = live;
    // Which child a session gets is told by its capabilities, and no set of those is called modern.
    if (target.transport !== "stdio" || target.era === "modern")
      throw new SupervisorError("INTERNAL", "a session was led to a child that has none");
    const { shared } = target;
    // What a message breaks is its session's: the child has others, and took no part in it.
    const end = (failure: SupervisorError): void => this.#end(failure);
    const client: StdioClient = {
      askable: this.#events.askable,
      receive: guarded("session", end, (raw, about, message) => {
        // What is left in the pipe of a child that has ended answers calls that have failed already.
        if (!this.#isClosed && this.#attachment?.client === client)
          this.#events.onMessage(raw, about, message);
      }),
      dropped: guarded("session", end, (id, error) => {
        if (!this.#isClosed && this.#attachment?.client === client)
          this.#events.onDropped(id, error);
      }),
      ended: guarded("session", end, () => this.#onEnded(live, shared, client)),
    };
    this.#attachment = { live, shared, client };
    shared.open(client, this.#remembered);
  }

  #end(failure: SupervisorError): void {
    if (this.#isClosed) return;
    this.close();
    this.#events.onClosed(failure);
  }

  #onEnded(live: Live, shared: SharedStdio, client: StdioClient): void {
    if (this.#isClosed || this.#attachment?.client !== client) return;
    this.#attachment = undefined;
    if (this.#renewal === undefined) {
      this.#isClosed = true;
      this.#events.onClosed(undefined);
      return;
    }
    this.#remembered = shared.recall(client);
    this.#renewal.instance.usage.unattached.add(this);
    this.#renewal.onInterrupted(live);
  }
}
