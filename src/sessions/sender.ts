import { toSupervisorError } from "../errors.ts";
import { ACCEPTED } from "../links/link.ts";
import type { PostAnswer, Posting } from "../links/link.ts";
import { SessionForgotten } from "../links/session-forgotten.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { idsOf } from "../mcp/envelope.ts";
import type { Attachment } from "./attachment.ts";
import type { SessionMemory } from "./session-memory.ts";
import { isInitialized } from "./sleeper.ts";
import type { Sleeper } from "./sleeper.ts";
import type { Serving } from "./serving.ts";

/** A server that says 400 to a session that it knew may have forgotten it; more often than this it does not like what is said. */
const FORGETS_AGAIN_AFTER_MS = 60_000;

/** The session, as far as what it sends has to know it. */
interface Owner {
  readonly serving: Serving | undefined;
  readonly memory: SessionMemory;
  readonly sleeper: Sleeper;
}

/** Hands messages to one generation, and finds out what it means where that fails. */
export class Sender {
  readonly #session: Owner;
  readonly #isStateful: boolean;
  readonly #onForgotten: (at: Attachment, messages: readonly ClientMessage[]) => void;
  #forgottenAt = -Infinity;

  /** `onForgotten`: the server knows nothing of the session any more, and has not taken these messages. */
  constructor(
    session: Owner,
    isStateful: boolean,
    onForgotten: (at: Attachment, messages: readonly ClientMessage[]) => void,
  ) {
    this.#session = session;
    this.#isStateful = isStateful;
    this.#onForgotten = onForgotten;
  }

  /** As `Link.post`; what fails because its generation has ended, or has forgotten the session, counts as taken: its end decides what becomes of it. */
  send(posting: Posting, at: Attachment): Promise<PostAnswer> {
    try {
      return at.link.post(posting).then(
        (answer) => this.#onAnswer(answer, posting, at),
        (error: unknown) => this.#onFailure(error, posting, at),
      );
    } catch (error) {
      return this.#onFailure(error, posting, at);
    }
  }

  #onAnswer(answer: PostAnswer, { messages }: Posting, at: Attachment): PostAnswer {
    const { status } = answer;
    if ((status === 404 || status === 400) && this.#isForgotten(status, messages))
      return this.#beginAnew(messages, at);
    if (messages.some(isInitialized)) this.#session.sleeper.isThere(at);
    return answer;
  }

  async #onFailure(error: unknown, posting: Posting, at: Attachment): Promise<PostAnswer> {
    if (at.isOver) return ACCEPTED;
    const { messages } = posting;
    if (error instanceof SessionForgotten && this.#isForgotten(error.said, messages))
      return this.#beginAnew(messages, at);
    const ids = idsOf(messages);
    if (isUnsent(posting, at, error)) for (const id of ids) at.refused.add(id);
    await at.live.ending();
    if (at.isOver) return ACCEPTED;
    for (const id of ids) at.refused.delete(id);
    throw error;
  }

  /** Whether a refusal is to be taken for a server that has forgotten the session, and has not taken the message. */
  #isForgotten(said: 400 | 404, messages: readonly ClientMessage[]): boolean {
    const { memory, serving } = this.#session;
    if (memory.initialize === undefined) return false;
    // Its session is over, and what it says else is about the message.
    if (this.#isStateful) return said === 404;
    const { inFlight } = serving!;
    if (idsOf(messages).some((id) => (inFlight.find(id)?.sends ?? 0) > 1)) return false;
    if (said === 404) return true;
    const now = performance.now();
    if (now - this.#forgottenAt < FORGETS_AGAIN_AFTER_MS) return false;
    this.#forgottenAt = now;
    return true;
  }

  #beginAnew(messages: readonly ClientMessage[], at: Attachment): PostAnswer {
    for (const id of idsOf(messages)) at.refused.add(id);
    this.#onForgotten(at, messages);
    return ACCEPTED;
  }
}

/** Whether the system refused to hand the posting on; of one with several messages nobody knows. */
function isUnsent({ messages }: Posting, { live }: Attachment, error: unknown): boolean {
  const { code } = toSupervisorError(error);
  if (code === "UPSTREAM_REFUSED") return true;
  return code === "UPSTREAM_RESET" && live.target.transport === "stdio" && messages.length === 1;
}
