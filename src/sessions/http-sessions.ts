import { randomBytes } from "node:crypto";
import { SupervisorError } from "../errors.ts";
import type { Instance, Live } from "../supervisor/supervisor.ts";
import type { HttpBridge } from "./http-bridge.ts";
import type { Holder } from "./open-requests.ts";

const SWEEP_MS = 60_000;

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
  readonly isStateful: boolean;
}

/** A client's conversation over Streamable HTTP (2025-03-26 to 2025-11-25). */
export interface HttpSession extends NewHttpSession {
  /** The gateway's own id, unguessable; what the client knows. */
  readonly id: string;
  /** Requests under way, the stream of a GET among them. */
  openRequests: number;
  lastUsedAt: number;
}

export class HttpSessions {
  readonly #byId = new Map<string, HttpSession>();
  readonly #ttlMs: number;
  readonly #onClosed: (serving: Instance) => void;
  readonly #timer: NodeJS.Timeout;

  constructor(ttlMs: number, onClosed: (serving: Instance) => void = () => {}) {
    this.#ttlMs = ttlMs;
    this.#onClosed = onClosed;
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
    this.#timer.unref();
  }

  get size(): number {
    return this.#byId.size;
  }

  open(begun: NewHttpSession): HttpSession {
    const id = randomBytes(16).toString("base64url");
    const session: HttpSession = { ...begun, id, openRequests: 0, lastUsedAt: performance.now() };
    this.#byId.set(id, session);
    begun.serving.usage.sessions += 1;
    return session;
  }

  /**
   * The session of that id where it belongs to this user and server. Throws SESSION_NOT_FOUND for any
   * other, whoever's it is: a session id is no authentication. Throws SESSION_LOST once the child that
   * held it is gone (SESSION_NOT_FOUND for a stateful server, so that clients start over).
   */
  require(id: string, instance: Instance): HttpSession {
    const session = this.#byId.get(id);
    if (session === undefined || session.instance !== instance) {
      throw new SupervisorError("SESSION_NOT_FOUND", "no such session; initialize a new one");
    }
    if (session.serving.live !== session.live) {
      if (session.isStateful) {
        this.close(session);
        throw new SupervisorError("SESSION_NOT_FOUND", "no such session; initialize a new one");
      }
      const { user, server } = instance.ref;
      throw new SupervisorError(
        "SESSION_LOST",
        `${user}/${server}: the server that held this session is gone; initialize a new one`,
      );
    }
    session.lastUsedAt = performance.now();
    return session;
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
    if (session.peer.kind === "bridge") session.peer.bridge.close();
    this.#onClosed(session.serving);
  }

  closeWhere(matches: (session: HttpSession) => boolean): void {
    for (const session of this.#byId.values()) if (matches(session)) this.close(session);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.closeWhere(() => true);
  }

  #sweep(): void {
    const oldest = performance.now() - this.#ttlMs;
    for (const session of this.#byId.values())
      if (session.openRequests === 0 && session.lastUsedAt < oldest) this.close(session);
  }
}
