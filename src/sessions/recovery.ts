import { unawaited } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Live } from "../instances/supervisor.ts";
import { pongText } from "../mcp/messages.ts";
import type { Attachment } from "./attachment.ts";
import { explainFailure, reasonIn } from "./exit.ts";
import type { Front } from "./front.ts";
import type { InFlight, Open } from "./in-flight.ts";
import { isSentAgain } from "./resend.ts";
import type { Sender } from "./sender.ts";
import type { SessionMemory } from "./session-memory.ts";
import type { SessionOptions } from "./session-options.ts";
import type { Serving } from "./serving.ts";

/** The session, as far as its calls have to know it. */
interface Owner {
  readonly isLost: boolean;
  readonly serving: Serving | undefined;
  readonly memory: SessionMemory;
  open(): Promise<void>;
  giveUp(error: SupervisorError): void;
}

export interface RecoveryOptions extends Pick<
  SessionOptions,
  "resend" | "isStateful" | "survival"
> {
  readonly session: Owner;
  readonly front: Front;
  readonly sender: Sender;
}

/** What becomes of the requests of a session whose generation has ended: sent again, or answered with an error. */
export class Recovery {
  readonly #options: RecoveryOptions;

  constructor({ session, front, sender, resend, isStateful, survival }: RecoveryOptions) {
    this.#options = { session, front, sender, resend, isStateful, survival };
  }

  /** `at` answers nothing any more; of the requests with the ids `unsent` it was handed nothing. */
  decide(at: Attachment, unsent: ReadonlySet<string>, error: SupervisorError): void {
    const { resend, isStateful, session } = this.#options;
    const lost: string[] = [];
    let again = 0;
    for (const id of this.#inFlight.idsOf(at)) {
      const open = this.#inFlight.find(id)!;
      this.#inFlight.lost(open, unsent.has(id));
      const rule = { wasHanded: !open.isUnread, resend, memory: session.memory };
      if (isStateful) lost.push(id);
      else if (open.kind === "ping") this.#answerPing(id);
      else if (!isSentAgain(open, rule)) lost.push(id);
      else {
        this.#inFlight.await(open);
        again += 1;
      }
    }
    if (lost.length > 0 || session.isLost) this.#tellLost(lost, error, at.live);
    if (again > 0) this.#unawaited(this.#fetchNext());
  }

  /** The session is on its next generation: what waited for that goes out, in order. */
  sendWaiting(at: Attachment): void {
    if (this.#inFlight.size === 0) return;
    const waiting = this.#inFlight.waiting();
    if (waiting.length === 0) return;
    this.#options.survival?.onResent(at.live.ref, waiting.length);
    for (const [id, open] of waiting) this.#unawaited(this.#sendAgain(id, open, at));
  }

  get #inFlight(): InFlight {
    return this.#options.session.serving!.inFlight;
  }

  #unawaited(work: Promise<void>): void {
    unawaited("session", (failure) => this.#options.session.giveUp(failure), work);
  }

  /** It asks whether the session is there, and it is. */
  #answerPing(id: string): void {
    const pong = Buffer.from(pongText(id));
    this.#options.front.onMessage(pong, id, { id, method: undefined });
  }

  #tellLost(ids: readonly string[], error: SupervisorError, live: Live): void {
    const { front, session, survival } = this.#options;
    const explained = explainFailure(error, live);
    const why = explained.then(reasonIn);
    const tell = front.interrupt(this.#inFlight.drainUnanswered(ids, why));
    const work = async (): Promise<void> => {
      if (ids.length > 0) survival?.onLost(live.ref, ids.length, await why);
      await tell?.(await explained);
      if (session.isLost) front.end();
    };
    this.#unawaited(work());
  }

  /** Requests wait for the next generation. */
  async #fetchNext(): Promise<void> {
    try {
      await this.#options.session.open();
    } catch (error) {
      const waiting = this.#options.session.serving?.inFlight.waiting() ?? [];
      await this.#fail(
        waiting.map(([id]) => id),
        error,
      );
    }
  }

  async #sendAgain(id: string, open: Open, at: Attachment): Promise<void> {
    const { message, headers } = open;
    this.#inFlight.sentAgain(open, at);
    try {
      const posting = { body: message!.raw, messages: [message!], headers };
      const { status } = await this.#options.sender.send(posting, at);
      if (status < 300) return;
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        `the server answered the message with ${status}`,
      );
    } catch (error) {
      const { serving } = this.#options.session;
      if (serving?.inFlight.find(id) === open) await this.#fail([id], error);
    }
  }

  async #fail(ids: readonly string[], error: unknown): Promise<void> {
    const { front, session } = this.#options;
    const unanswered = session.serving?.inFlight.drainUnanswered(ids) ?? [];
    await front.interrupt(unanswered)?.(toSupervisorError(error));
  }
}
