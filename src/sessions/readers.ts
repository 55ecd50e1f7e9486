import { guarded, unawaited } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import type { Instance } from "../instances/supervisor.ts";
import { cancelCalls } from "./cancel-calls.ts";
import type { Front } from "./front.ts";
import type { ClientOutlet } from "./outlet.ts";
import { Presence } from "./presence.ts";
import type { ResumableAnswer } from "./resumable-answer.ts";
import { park, serveAgain, wake } from "./serve-again.ts";
import type { Place } from "./serving.ts";
import type { Session } from "./session.ts";
import type { Unread } from "./unread.ts";
import { LazyMap } from "../platform/lazy.ts";

export interface ReadersOptions {
  readonly session: Session;
  readonly front: Pick<Front, "interrupt">;
  readonly unread: Unread;
  readonly resumeWindowMs: number;
  readonly isStateful: boolean;
  /** The client has lost a stream of the session's own, and has no other. */
  readonly hasLost: () => boolean;
  /** It has had nothing open for resumeWindow: what is asked of it will not be answered. */
  readonly onGone?: () => void;
  readonly onParked: (served: Instance | undefined) => void;
  /** The instance that serves the session, told from its client's `initialize`, once none does any more. */
  readonly again: () => Place;
}

/** What the client of a Streamable HTTP session has open, and what becomes of the session while that is nothing. */
export class Readers {
  readonly #options: ReadersOptions;
  readonly #presence: Presence;
  /**
   * Settles when what was cancelled before is told. Streams that are lost together are given up together:
   * a session that is parked meanwhile would take the word to its server along.
   */
  #earlier: Promise<unknown> = Promise.resolve();
  readonly #byOutlet = new LazyMap<ClientOutlet, ResumableAnswer>();

  constructor(options: ReadersOptions) {
    // What it is given is often a part of much more, none of which is to be kept by it.
    const { session, front, unread, resumeWindowMs, isStateful } = options;
    const { hasLost, onGone, onParked, again } = options;
    const own = { session, front, unread, resumeWindowMs, isStateful };
    this.#options = { ...own, hasLost, onGone, onParked, again };
    const abandon = guarded("session", this.#broke, () =>
      unawaited("session", this.#broke, this.#abandon()),
    );
    this.#presence = new Presence(options.resumeWindowMs, abandon);
  }

  /** It has a stream or a request open. */
  get isHere(): boolean {
    return this.#presence.isHere;
  }

  /** The client has opened this, and reads that answer there. */
  add(outlet: ClientOutlet, answer?: ResumableAnswer): void {
    this.#presence.came();
    this.#options.unread.add(outlet);
    if (answer !== undefined) this.#byOutlet.set(outlet, answer);
  }

  /** The client has left that; gives the answer that it read there, where there is more of it to come. */
  left(outlet: ClientOutlet): ResumableAnswer | undefined {
    this.#presence.left();
    this.#options.unread.delete(outlet);
    const answer = this.#byOutlet.get(outlet);
    this.#byOutlet.delete(outlet);
    return answer?.leave(outlet) === true ? answer : undefined;
  }

  /** Something waits for the client. */
  await(): void {
    this.#presence.await();
  }

  /** Nobody has come back for the answers to these requests: servers are told, and who comes back yet. Resolves when they have heard of these and of all before. */
  async cancel(ids: readonly string[]): Promise<void> {
    const { session, front } = this.#options;
    const heard = Promise.all([this.#earlier, cancelCalls(session, front, ids)]);
    this.#earlier = heard.catch(() => undefined);
    await heard;
  }

  /** The session is served again, where it was parked. */
  serve(): void {
    const { session, again } = this.#options;
    serveAgain(session, again);
  }

  /** As `serve`, for a client that only listens: it says nothing that would bring the next child. */
  wake(): void {
    const { session, again } = this.#options;
    wake(session, again);
  }

  close(): void {
    this.#presence.close();
  }

  readonly #broke = (failure: SupervisorError): void => this.#options.session.giveUp(failure);

  /** The client has not been there for so long that it is taken to have left for good. */
  async #abandon(): Promise<void> {
    const { session, isStateful, hasLost, onGone, onParked } = this.#options;
    onGone?.();
    await this.cancel(session.serving?.inFlight.idsOpen ?? []);
    // What a session of a stateful server was about, no other child could be told.
    if (this.#presence.isHere || isStateful || !hasLost()) return;
    if (!park(session, onParked) && !session.isLost) this.#presence.await();
  }
}
