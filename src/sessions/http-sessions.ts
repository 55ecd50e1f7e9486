import { randomBytes } from "node:crypto";
import { guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { HttpBridge } from "./http-bridge.ts";
import { IdleHolds } from "./idle-holds.ts";
import type { Holder } from "./open-requests.ts";

/** How the session reaches its server: under the id that the server gave, or over a bridge. */
export type Peer =
  | { readonly kind: "relay"; readonly childId: string }
  | { readonly kind: "bridge"; readonly bridge: HttpBridge };

export interface NewHttpSession {
  readonly holder: Holder;
  /** The instance whose path the client came by, and the one that serves it: they differ for stdio. */
  readonly instance: Instance;
  readonly serving: Instance;
  /** The generation that answered `initialize`. */
  readonly live: Live;
  readonly peer: Peer;
  /** Another generation of the child takes the session over. */
  readonly isRenewed?: boolean;
  /** Of a session that has begun to keep its child before it is open. */
  readonly holds?: IdleHolds;
}

/** A client's conversation over Streamable HTTP (2025-03-26 to 2025-11-25). */
export interface HttpSession extends NewHttpSession {
  /** The gateway's own id, unguessable; what the client knows. */
  readonly id: string;
  /** Requests under way; the stream of a GET is none. */
  openRequests: number;
  lastUsedAt: number;
  readonly holds: IdleHolds;
  /** Ends what is open in its name and would go on without it. */
  readonly streams: Set<() => void>;
  /** `performance.now()` when the last of its streams ended. */
  streamEndedAt: number;
}

export interface HttpSessionsEvents {
  onClosed: (session: HttpSession) => void;
  /** It is about to be closed, and its client did not ask for that. */
  onAbandoned: (session: HttpSession) => void;
}

export class HttpSessions {
  readonly #byId = new Map<string, HttpSession>();
  readonly #ttlMs: number;
  readonly #events: Partial<HttpSessionsEvents>;

  constructor(ttlMs: number, events: Partial<HttpSessionsEvents> = {}) {
    this.#ttlMs = ttlMs;
    this.#events = events;
  }

  get size(): number {
    return this.#byId.size;
  }

  open(begun: NewHttpSession): HttpSession {
    const id = randomBytes(16).toString("base64url");
    const { holds = new IdleHolds(begun.serving.usage) } = begun;
    const lastUsedAt = performance.now();
    const session: HttpSession = {
      ...begun,
      id,
      openRequests: 0,
      lastUsedAt,
      holds,
      streams: new Set(),
      streamEndedAt: -Infinity,
    };
    this.#byId.set(id, session);
    begun.serving.usage.sessions += 1;
    return session;
  }

  /**
   * The session of that id where it belongs to this user and server. Throws SESSION_NOT_FOUND for any
   * other, whoever's it is, since a session id is no authentication; and for one whose child is gone,
   * because 404 is what makes clients begin anew (2025-11-25, session management).
   */
  require(id: string, instance: Instance): HttpSession {
    const session = this.find(id, instance);
    const isLost = session !== undefined && isGone(session);
    // A child on its way out may still answer what it has; the rest is answered at its end.
    if (isLost && session.openRequests === 0) this.close(session);
    if (session === undefined || isLost)
      throw new SupervisorError("SESSION_NOT_FOUND", "no such session; initialize a new one");
    session.lastUsedAt = performance.now();
    return session;
  }

  /** The session of that id where it belongs to this user and server, whatever became of its child. */
  find(id: string, instance: Instance): HttpSession | undefined {
    const session = this.#byId.get(id);
    return session?.instance === instance ? session : undefined;
  }

  /** Keeps the session from growing old while a request is under way; returns the function that says "over". */
  hold(session: HttpSession): () => void {
    session.openRequests += 1;
    return () => {
      session.openRequests -= 1;
      session.lastUsedAt = performance.now();
    };
  }

  close(session: HttpSession): void {
    if (!this.#byId.delete(session.id)) return;
    session.serving.usage.sessions -= 1;
    session.holds.clear();
    for (const end of session.streams) end();
    if (session.peer.kind === "bridge") session.peer.bridge.close();
    this.#events.onClosed?.(session);
  }

  closeWhere(matches: (session: HttpSession) => boolean): void {
    for (const session of this.#byId.values()) {
      if (!matches(session)) continue;
      this.#tryTo(() => this.#events.onAbandoned?.(session));
      this.#tryTo(() => this.close(session));
    }
  }

  /** At the end of the daemon, when nobody waits for answers any more: clients are told why. */
  giveUp(error: SupervisorError): void {
    for (const { peer, live } of this.#byId.values())
      if (peer.kind === "bridge") peer.bridge.lost(error, live);
  }

  /** At the end of the daemon, when the servers end as well. */
  closeAll(): void {
    for (const session of this.#byId.values()) this.#tryTo(() => this.close(session));
  }

  /** What goes wrong with one session is not to keep the others open. */
  #tryTo(work: () => void): void {
    guarded("session", () => {}, work)();
  }

  /** Closes sessions whose client has asked for nothing for their time to live. */
  expire(): void {
    const oldest = performance.now() - this.#ttlMs;
    this.closeWhere((session) => session.openRequests === 0 && session.lastUsedAt < oldest);
  }
}

/** Nothing takes a session of an SSE or HTTP server to another child yet. */
function isGone({ serving, live, isRenewed, peer }: HttpSession): boolean {
  if (peer.kind === "bridge" && peer.bridge.isLost) return true;
  return serving.live !== live && isRenewed !== true;
}
