/** Room: sessions. Clients' conversations: which there are, whose they are, what each waits for. In: messages of authenticated users. Out: the same messages, to that user's instance and to no other. Never reads a key or a header that names a user. */
import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { HttpSessions } from "./http-sessions.ts";
import { OpenRequests } from "./open-requests.ts";
import type { Holder } from "./open-requests.ts";
import { SseSession } from "./sse-session.ts";
import type { Outlet } from "./sse-session.ts";
import type { Instance } from "../supervisor/supervisor.ts";
import { Upstreams } from "./upstreams.ts";

/** A child that has not said "accepted" to a message by then never will. */
const POST_TIMEOUT_MS = 30_000;

export interface SessionsOptions {
  config: Pick<Config, "sessionTtlMs" | "limits">;
  postTimeoutMs?: number;
}

export class Sessions {
  readonly open: OpenRequests;
  readonly http: HttpSessions;
  readonly upstreams = new Upstreams();
  readonly #sse = new Map<string, SseSession>();
  readonly #postTimeoutMs: number;

  constructor({ config, postTimeoutMs = POST_TIMEOUT_MS }: SessionsOptions) {
    this.open = new OpenRequests(config.limits.streamsPerUser);
    this.http = new HttpSessions(config.sessionTtlMs);
    this.#postTimeoutMs = postTimeoutMs;
  }

  get count(): number {
    return this.#sse.size + this.http.size;
  }

  openSse(
    holder: Holder,
    instance: Instance,
    isStateful: boolean,
    outlet: Outlet,
    requestId: string,
  ): SseSession {
    const session = new SseSession({
      holder,
      instance,
      outlet,
      isStateful,
      requestId,
      upstreams: this.upstreams,
      postTimeoutMs: this.#postTimeoutMs,
    });
    this.#sse.set(session.id, session);
    return session;
  }

  /** The SSE session of that id on this instance; SESSION_NOT_FOUND for any other, whoever's it is. */
  requireSse(id: string, instance: Instance): SseSession {
    const session = this.#sse.get(id);
    if (session === undefined || session.instance !== instance) {
      throw new SupervisorError("SESSION_NOT_FOUND", "no such session; open a new stream");
    }
    return session;
  }

  closeSse(session: SseSession): void {
    this.#sse.delete(session.id);
    session.close();
  }

  /** Ends everything that was opened with this key, at once. */
  closeKey(holder: Holder): void {
    this.open.closeKey(holder);
    this.http.closeWhere((other) => other.user === holder.user && other.keyId === holder.keyId);
  }

  /** Ends everything of this user, at once. */
  closeUser(user: string): void {
    this.open.closeUser(user);
    this.http.closeWhere((other) => other.user === user);
  }

  close(): void {
    this.open.closeAll();
    this.http.stop();
  }
}
