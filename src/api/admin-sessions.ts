import { randomBytes } from "node:crypto";
import { SupervisorError } from "../errors.ts";
import { MINUTE_MS } from "../platform/durations.ts";
import { digestOfSecret, newOneTimeSecret } from "../platform/one-time.ts";

/** How long a link of `mcp-supervisor panel` is good. */
const LINK_MS = MINUTE_MS;
const IDLE_MS = 30 * MINUTE_MS;
const LONGEST_MS = 12 * 60 * MINUTE_MS;
const SWEEP_MS = 500;
/** Of each kind; the oldest gives way. One machine has a handful of admins. */
const MAX_OPEN = 100;
/** Long before that, what is presented is none of ours. */
const MAX_SECRET_LENGTH = 100;

/** A browser that an admin has signed in with. */
export interface AdminSession {
  /** What the audit and the list know it by. Opens nothing. */
  readonly id: string;
  /** Who let the browser in: the account that asked for the link, or `admin token`. */
  readonly by: string;
  readonly since: number;
  lastSeenAt: number;
  readonly expiresAt: number;
  /** Aborted when the session is over, and with it what is still being sent to it. */
  readonly over: AbortSignal;
}

interface Kept extends AdminSession {
  readonly end: AbortController;
}

interface Link {
  readonly id: string;
  readonly by: string;
  readonly expiresAt: number;
}

/** What a browser gets for its link, once; `session` is in no other place. */
export interface OpenedSession {
  id: string;
  session: string;
  idleMs: number;
  expiresAt: number;
}

const keyOf = (secret: string): string => digestOfSecret(secret).toString("base64");

/**
 * Who is signed in to the panel. In memory alone, and by digest: a restart ends them all. A session
 * is over after 30 minutes without a request of its, and after 12 hours whatever it asked for.
 */
export class AdminSessions {
  readonly #links = new Map<string, Link>();
  readonly #sessions = new Map<string, Kept>();
  #sweeper: NodeJS.Timeout | undefined;

  /** A code that opens a session, once and within a minute. `id` is what the session will have. */
  createLink(by: string): { id: string; code: string; expiresAt: number } {
    const code = newOneTimeSecret();
    const link = { id: newId(), by, expiresAt: Date.now() + LINK_MS };
    makeRoom(this.#links);
    this.#links.set(keyOf(code), link);
    return { id: link.id, code, expiresAt: link.expiresAt };
  }

  /** KEY_INVALID for what was used, is late or never was: nobody learns which. */
  redeem(code: string): OpenedSession {
    const key = code.length > MAX_SECRET_LENGTH ? "" : keyOf(code);
    const link = this.#links.get(key);
    this.#links.delete(key);
    if (link !== undefined && link.expiresAt > Date.now()) return this.open(link.by, link.id);
    throw new SupervisorError(
      "KEY_INVALID",
      "this link is not valid, or no longer valid: mcp-supervisor panel prints a new one",
    );
  }

  open(by: string, id = newId()): OpenedSession {
    const session = newOneTimeSecret();
    const since = Date.now();
    const expiresAt = since + LONGEST_MS;
    const end = new AbortController();
    const kept = { id, by, since, lastSeenAt: since, expiresAt, end, over: end.signal };
    makeRoom(this.#sessions)?.end.abort();
    this.#sessions.set(keyOf(session), kept);
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS).unref();
    return { id, session, idleMs: IDLE_MS, expiresAt };
  }

  /** Whose secret this is; undefined where it is nobody's, or not any more. */
  find(secret: string): AdminSession | undefined {
    this.#sweep();
    return secret.length > MAX_SECRET_LENGTH ? undefined : this.#sessions.get(keyOf(secret));
  }

  /** The latest first. */
  list(): AdminSession[] {
    this.#sweep();
    return [...this.#sessions.values()].toReversed();
  }

  /** False where there is none. */
  end(id: string): boolean {
    return this.#endWhere((session) => session.id === id) > 0;
  }

  /** And no link is good any more. Returns how many there were. */
  endAll(): number {
    this.#links.clear();
    return this.#endWhere(() => true);
  }

  #sweep(): void {
    const now = Date.now();
    this.#endWhere(({ expiresAt, lastSeenAt }) => expiresAt <= now || lastSeenAt + IDLE_MS <= now);
  }

  #endWhere(isMeant: (session: AdminSession) => boolean): number {
    const meant = [...this.#sessions].filter(([, session]) => isMeant(session));
    for (const [key, session] of meant) {
      this.#sessions.delete(key);
      session.end.abort();
    }
    if (this.#sessions.size === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    }
    return meant.length;
  }
}

const newId = (): string => randomBytes(4).toString("hex");

/** Takes out the oldest where there are as many as there may be. */
function makeRoom<T>(map: Map<string, T>): T | undefined {
  if (map.size < MAX_OPEN) return undefined;
  const [oldest] = map;
  if (oldest === undefined) return undefined;
  map.delete(oldest[0]);
  return oldest[1];
}
