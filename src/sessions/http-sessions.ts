import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { belongs } from "./belongs.ts";
import type { Claim } from "./belongs.ts";
import type { Session } from "./session.ts";

/** A client's conversation over Streamable HTTP (2025-03-26 to 2025-11-25), as far as they are all alike. */
export interface HttpSession {
  readonly session: Session;
  /** Requests under way; the stream of a GET is none. */
  openRequests: number;
  /** Nobody waits for its server any more: what waits for an answer is told why, and it takes no more. */
  giveUp(error: SupervisorError): void;
  /** Ends it, streams and all; `isTold` where the server knows already. */
  close(isTold?: boolean): void;
}

export interface HttpSessionsEvents<Kind> {
  onClosed: (session: Kind) => void;
  /** The session of that id may have been there before the daemon was. */
  comeBack: (id: string, claim: Claim) => Kind | undefined;
}

/** The sessions of Streamable HTTP by the ids that their clients know. */
export class HttpSessions<Kind extends HttpSession = HttpSession> {
  readonly #byId = new Map<string, Kind>();
  readonly #ttlMs: number;
  readonly #events: Partial<HttpSessionsEvents<Kind>>;

  constructor(ttlMs: number, events: Partial<HttpSessionsEvents<Kind>> = {}) {
    this.#ttlMs = ttlMs;
    this.#events = events;
  }

  get size(): number {
    return this.#byId.size;
  }

  add(one: Kind): void {
    this.#byId.set(one.session.id, one);
  }

  /**
   * The session of that id where it belongs to this principal and server, and was begun with these
   * settings. Throws SESSION_NOT_FOUND for any other, whoever's it is, since a session id is no
   * authentication; and for one whose child is gone, because 404 is what makes clients begin anew (2025-11-25, session management).
   */
  require(id: string, claim: Claim): Kind {
    const one = this.find(id, claim);
    const isLost = one !== undefined && one.session.isLost;
    // A child on its way out may still answer what it has; the rest is answered at its end.
    if (isLost && one.openRequests === 0) this.#close(one, false);
    if (one === undefined || isLost)
      throw new SupervisorError("SESSION_NOT_FOUND", "no such session; initialize a new one");
    one.session.lastUsedAt = performance.now();
    return one;
  }

  /** As `require`, whatever became of its child; undefined for any other. */
  find(id: string, claim: Claim): Kind | undefined {
    const one = this.#byId.get(id) ?? this.#events.comeBack?.(id, claim);
    return one !== undefined && belongs(one.session, claim) ? one : undefined;
  }

  /** Keeps the session from growing old while a request is under way; returns the function that says "over". */
  hold(one: Kind): () => void {
    one.openRequests += 1;
    return () => {
      one.openRequests -= 1;
      one.session.lastUsedAt = performance.now();
    };
  }

  /** For good; `isTold` where the server knows already. */
  close(one: Kind, isTold = false): void {
    one.session.memory.keeper?.end();
    this.#close(one, isTold);
  }

  #close(one: Kind, isTold: boolean): void {
    if (!this.#byId.delete(one.session.id)) return;
    one.close(isTold);
    this.#events.onClosed?.(one);
  }

  closeWhere(matches: (session: Session) => boolean): void {
    for (const one of this.#byId.values())
      if (matches(one.session)) this.#tryTo(() => this.close(one));
  }

  /** At the end of the daemon, when nobody waits for answers any more: clients are told why. */
  giveUp(error: SupervisorError): void {
    for (const one of this.#byId.values()) one.giveUp(error);
  }

  /** At the end of the daemon, when the servers end as well; their clients come back. */
  closeAll(): void {
    for (const one of this.#byId.values()) this.#tryTo(() => this.#close(one, false));
  }

  /** Closes sessions whose client has asked for nothing for their time to live. */
  expire(): void {
    const oldest = performance.now() - this.#ttlMs;
    for (const one of this.#byId.values())
      if (one.openRequests === 0 && one.session.lastUsedAt < oldest)
        this.#tryTo(() => this.close(one));
  }

  /** What goes wrong with one session is not to keep the others open. */
  #tryTo(work: () => void): void {
    guarded("session", () => {}, work)();
  }
}
