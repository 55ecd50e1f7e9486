import { unawaited } from "../containment.ts";
import { ACCEPTED } from "../links/link.ts";
import type { PostAnswer } from "../links/link.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { wake } from "./asleep.ts";
import type { Attachment } from "./attachment.ts";
import { route } from "./route.ts";
import type { Places } from "./route.ts";
import type { SessionMemory } from "./session-memory.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Serving } from "./serving.ts";

const NO_BODY = Buffer.alloc(0);

/** The session, as far as it is answered without its server. */
interface Owner {
  readonly isLost: boolean;
  readonly serving: Serving | undefined;
  readonly memory: SessionMemory;
  open(): Promise<void>;
}

export const isInitialized = ({ method }: ClientMessage): boolean =>
  method === "notifications/initialized";

/** Answers the client of a session from what its server last showed while that sleeps, and has that asked when it is awake. */
export class Sleeper {
  readonly #session: Owner;
  readonly #showings: SessionOptions["showings"];

  constructor(session: Owner, { showings }: Pick<SessionOptions, "showings">) {
    this.#session = session;
    this.#showings = showings;
  }

  /** The answer to what the client posted; undefined where the server is to be asked. */
  find(messages: readonly ClientMessage[]): Buffer | undefined {
    const { memory, serving } = this.#session;
    const [request] = messages;
    // Nearly always.
    if (serving!.instance.live !== undefined || this.#session.isLost) return undefined;
    if (this.#showings === undefined || request === undefined || messages.length > 1)
      return undefined;
    const isFirst = request.method === "initialize";
    if (isFirst && memory.isBegun) return undefined;
    const initialize = isFirst ? request : memory.initialize;
    return initialize && this.#showings.asleep(serving!.instance, initialize, request);
  }

  /** As `find`, and the client is given it. Throws REQUEST_INVALID for an id in use. */
  answer(messages: readonly ClientMessage[]): Buffer | undefined {
    const answer = this.find(messages);
    if (answer === undefined) return undefined;
    const { memory, serving } = this.#session;
    const { inFlight, instance } = serving!;
    inFlight.requireFree(messages);
    memory.answered(messages[0], answer);
    // A list alone wakes nobody, or clients that poll would keep every child awake.
    if (messages[0]!.method === "initialize") wake(instance);
    return answer;
  }

  /** The client says this, without a request in it, while its server sleeps or starts. */
  hear(messages: readonly ClientMessage[], places: Places): PostAnswer {
    const { memory, serving } = this.#session;
    // Some of it may be for a generation that drains.
    route({ body: NO_BODY, messages, headers: [] }, places);
    serving?.inFlight.sent(messages);
    memory.heard(messages);
    // What it was shown may not be so any more, and it is to hear of that.
    if (messages.some(isInitialized)) unawaited("session", () => {}, this.#session.open());
    return ACCEPTED;
  }

  /** The server is on the session's place, and may have missed that the client said that it is there. */
  arrived(at: Attachment): void {
    const { initialize, initialized } = this.#session.memory;
    if (initialize === undefined || initialized === undefined) return;
    if (at.isGreeted) return this.isThere(at);
    const told = at.tell(initialized).then(() => this.isThere(at));
    unawaited("session", () => {}, told);
  }

  /** The server knows that the client is there. */
  isThere(at: Attachment): void {
    const { memory, serving } = this.#session;
    const { initialize, greeting } = memory;
    memory.greeting = undefined;
    if (initialize === undefined || greeting === undefined || at.isOver) return;
    this.#showings?.awake(at, { initialize, greeting }, serving!.instance);
  }
}
