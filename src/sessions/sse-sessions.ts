import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { belongs } from "./belongs.ts";
import type { Claim } from "./belongs.ts";
import type { Session } from "./session.ts";
import type { SseFront } from "./sse-front.ts";

/** Of one user: sessions whose clients have lost their streams. Beyond that the one that is away for longest is over. */
const MAX_AWAY = 128;

/** The sessions of HTTP with SSE by the ids that their clients know. */
export class SseSessions implements Iterable<SseFront> {
  readonly #byId = new Map<string, SseFront>();
  readonly #onClosed: (front: SseFront) => void;

  constructor(onClosed: (front: SseFront) => void) {
    this.#onClosed = onClosed;
  }

  get size(): number {
    return this.#byId.size;
  }

  [Symbol.iterator](): Iterator<SseFront> {
    return this.#byId.values();
  }

  add(front: SseFront): void {
    this.#byId.set(front.session.id, front);
  }

  /** The session of that id as `HttpSessions.require` finds one; SESSION_NOT_FOUND for any other, whoever's it is. */
  require(id: string, claim: Claim): SseFront {
    const front = this.#byId.get(id);
    if (front === undefined || !belongs(front.session, claim))
      throw new SupervisorError("SESSION_NOT_FOUND", "no such session; open a new stream");
    return front;
  }

  /** The session whose stream has that name, for who comes back for it; undefined where the client has to begin anew. */
  find(id: string, claim: Claim): SseFront | undefined {
    const front = this.#byId.get(id);
    const isTheirs = front !== undefined && belongs(front.session, claim);
    return isTheirs && !front.session.isLost ? front : undefined;
  }

  /** Clients that do not come back cost no more than so many sessions of their user. */
  spareAway(user: string): void {
    const away = [...this].filter(
      ({ awaySince, session }) => awaySince !== undefined && session.holder.user === user,
    );
    const byTime = away.toSorted((a, b) => a.awaySince! - b.awaySince!);
    for (const front of byTime.slice(0, -MAX_AWAY)) this.close(front);
  }

  /** For good. */
  close(front: SseFront): void {
    front.session.memory.keeper?.end();
    this.#close(front);
  }

  /** At the end of the daemon; their clients come back. */
  closeAll(): void {
    for (const front of this) this.#tryTo(() => this.#close(front));
  }

  #close(front: SseFront): void {
    if (!this.#byId.delete(front.session.id)) return;
    front.close();
    this.#onClosed(front);
  }

  closeWhere(matches: (session: Session, front: SseFront) => boolean): void {
    for (const front of this)
      if (matches(front.session, front)) this.#tryTo(() => this.close(front));
  }

  /** What goes wrong with one session is not to keep the others open. */
  #tryTo(work: () => void): void {
    guarded("session", () => {}, work)();
  }
}
