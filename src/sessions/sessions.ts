/** Room: sessions. Clients' conversations: which there are, whose they are, what each waits for. In: messages of authenticated users. Out: the same messages, to that user's instance and to no other. Never reads a key or a header that names a user. */
import { BY_KEY, isSameCredential } from "../auth/principal.ts";
import type { Credential } from "../auth/principal.ts";
import type { Config, ServerDef } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { NOT_ASKABLE, askableIn } from "../mcp/askable.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { capabilitiesOf, versionWantedBy } from "./capabilities.ts";
import { helloOf } from "./call-front.ts";
import { CallLinks } from "./call-links.ts";
import type { EventId } from "./event-id.ts";
import { EventLog, EventLogs } from "./event-log.ts";
import { cutByStop } from "./exit.ts";
import { Flow } from "./flow.ts";
import { Backends } from "./backends.ts";
import { HttpFront } from "./http-front.ts";
import type { HttpFrontOptions } from "./http-front.ts";
import { HttpRelay } from "./http-relay.ts";
import { HttpSessions } from "./http-sessions.ts";
import { LonePost } from "./lone-post.ts";
import type { LoneRequest } from "./lone-post.ts";
import { ModernServer } from "./modern-server.ts";
import { OpenRequests } from "./open-requests.ts";
import { MODERN_VARIANT, isOwnVariant } from "../instances/supervisor.ts";
import type { Era, Instance, Live, Ref } from "../instances/supervisor.ts";
import { UnderWay } from "../platform/under-way.ts";
import type { Survival } from "../telemetry/survival.ts";
import type { NumberedStream } from "./numbered-stream.ts";
import { Records } from "./records.ts";
import type { RecordsOptions, StoredSession } from "./records.ts";
import type { Session } from "./session.ts";
import { initializeIn } from "./session-memory.ts";
import type { WrittenMemory } from "./session-memory.ts";
import type { GivesUp, SessionOptions, SseOpening, Whose } from "./session-options.ts";
import type { Place } from "./serving.ts";
import { NOTHING_SHOWN, Showings } from "./showings.ts";
import type { Shown } from "./showings.ts";
import { connectFor, optionsFor } from "./options-for.ts";
import type { OptionParts } from "./options-for.ts";
import type { Outlet } from "./outlet.ts";
import { quiet } from "./quiet.ts";
import { variantFor } from "./variant.ts";
import { SseFront } from "./sse-front.ts";
import type { EarlierLife } from "./sse-front.ts";
import { SseSessions } from "./sse-sessions.ts";
import { AllUnread, Unread } from "./unread.ts";
import type { Waiting } from "./unread.ts";

/** A child that has not said "accepted" to a message by then never will. */
const POST_TIMEOUT_MS = 30_000;
/** How often is looked for sessions that have grown old, at least. */
const EXPIRY_MS = 60_000;
/** For a client that reads; at the end of the daemon nobody can wait for the others. */
const LAST_WORDS_MS = 1_000;

export interface SessionsOptions {
  /** Who is told how sessions fare when their servers end. */
  survival?: Survival;
  config: Pick<Config, "sessionTtlMs" | "resumeWindowMs" | "limits" | "eventLog">;
  /** The instance of a stdio server for clients that declare these capabilities (JSON text), of which one asks for the version `wanted`. */
  instanceOf: (ref: Ref, capabilities: string, wanted?: string) => Instance;
  /** What a stdio server speaks; rejects with what keeps it from starting. */
  eraOf: (ref: Ref) => Promise<Era>;
  /** The instance served one session only, and that is over. */
  discard: (instance: Instance) => void;
  /** What children last showed, for while they sleep; nothing is kept where it is not given. */
  lastShown?: Shown;
  /** The gateway's own, which servers are told where it is their client itself. */
  version?: string;
  postTimeoutMs?: number;
  /** Where sessions are written down, so that they outlive the daemon; none does where it is not given. */
  kept?: Pick<RecordsOptions, "store" | "vault" | "log">;
}

export class Sessions {
  readonly open: OpenRequests;
  readonly sse = new SseSessions(({ session }) => this.#discard(session.serving?.instance));
  readonly http: HttpSessions<HttpFront | HttpRelay>;
  /** Those over which the gateway itself calls tools, in the place of people. */
  readonly calls: CallLinks;
  readonly backends = new Backends();
  /** What a client waits for beside its session, or without one. */
  readonly carried = new UnderWay<GivesUp>();
  /** Why no request is taken any more, once the daemon is ending. */
  refusal: SupervisorError | undefined;
  readonly unread: AllUnread;
  readonly showings: Showings;
  /** Those that are written down. */
  readonly records: Records | undefined;
  readonly #options: SessionsOptions;
  readonly #logs = new EventLogs();
  readonly #parts: OptionParts;
  readonly #timer: NodeJS.Timeout;

  constructor(options: SessionsOptions) {
    const { config, survival, postTimeoutMs = POST_TIMEOUT_MS } = options;
    const { sessionTtlMs: ttlMs, limits } = config;
    this.#options = options;
    this.showings = new Showings(options.lastShown ?? NOTHING_SHOWN);
    const { backends, showings } = this;
    this.#parts = { backends, showings, postTimeoutMs, survival };
    this.open = new OpenRequests(limits);
    this.unread = new AllUnread(limits);
    const onSurplus = (surplus: Session): void => this.closeWhere((one) => one === surplus);
    this.records = options.kept && new Records({ ...options.kept, ttlMs, limits, onSurplus });
    this.http = new HttpSessions(ttlMs, {
      onClosed: ({ session }) => this.#discard(session.serving?.instance),
      comeBack: (id, claim) => this.#comeBack(id, claim),
    });
    this.calls = new CallLinks({
      hello: helloOf(options.version ?? ""),
      ttlMs,
      optionsFor: (whose) => this.#optionsFor(whose),
      choose: ({ instance, server }, messages) => this.#choose(instance, server, messages),
      discard: (instance) => this.#discard(instance),
    });
    this.#timer = setInterval(() => this.expire(), Math.min(EXPIRY_MS, config.sessionTtlMs));
    this.#timer.unref();
  }

  get count(): number {
    return this.sse.size + this.http.size;
  }

  /** Begins a session with the client's stream; it needs no child yet. */
  openSse(opening: SseOpening): SseFront {
    const { outlet, instance, server } = opening;
    const front = this.#addSse(opening, outlet);
    if (server.transport !== "stdio") front.session.begin({ instance, askable: NOT_ASKABLE });
    return front;
  }

  /** The session whose stream a client comes back for, with the last event that it has; undefined where it has to begin anew. */
  findSse({ stream: id, n }: EventId, opening: Omit<SseOpening, "outlet">): SseFront | undefined {
    const known = this.sse.find(id, opening);
    if (known !== undefined) return known;
    const stored = this.records?.find(id, opening);
    if (stored?.front !== "sse") return undefined;
    const { memory } = stored;
    return this.#addSse({ ...opening, id }, { memory, n }, stored);
  }

  #addSse(
    { requestId, agent, id, ...whose }: Omit<SseOpening, "outlet"> & { id?: string },
    from: Outlet | EarlierLife,
    stored?: StoredSession,
  ): SseFront {
    const { instance, server } = whose;
    const { records } = this;
    const front: SseFront = new SseFront({
      ...this.#optionsFor(whose),
      id,
      from,
      requestId,
      choose: (messages) => this.#choose(instance, server, messages),
      isBridged: server.transport !== "sse",
      unread: new Unread(this.unread),
      log: this.#newLog(),
      recall: records && (() => this.#recall(records, whose, agent)),
      resumeWindowMs: this.#options.config.resumeWindowMs,
      onParked: (served) => this.#discard(served),
      onAway: () => this.sse.spareAway(whose.holder.user),
      onOver: () => this.sse.close(front),
    });
    this.sse.add(front);
    const record = records?.add(front.session, front, { front: "sse", server, agent });
    if (stored !== undefined) records!.readd(record!, stored);
    return front;
  }

  /** What the last session of that client knew, which makes way for the one that goes on with it. */
  #recall(records: Records, whose: Whose, agent: string | undefined): WrittenMemory | undefined {
    const { memory, id = "" } = records.recall(whose, agent) ?? {};
    this.sse.find(id, whose)?.makeWay();
    return memory;
  }

  /**
   * Begins a Streamable HTTP session over a server that speaks something else, with the client's
   * `initialize`. Rejects with REQUEST_INVALID for any other message, and with what keeps the child
   * from starting or the link from opening.
   */
  async openBridge(whose: Whose, messages: readonly ClientMessage[]): Promise<HttpFront> {
    const place = this.#choose(whose.instance, whose.server, messages);
    const front = new HttpFront(this.#httpOptionsFor(whose), place);
    this.records?.add(front.session, front.readers, { front: "bridge", server: whose.server });
    try {
      if (front.session.sleeper.find(messages) === undefined) await front.session.open();
    } catch (error) {
      front.close();
      this.#discard(place.instance);
      throw error;
    }
    this.http.add(front);
    return front;
  }

  /** Begins a session of a Streamable HTTP server that speaks for itself: this generation has answered `initialize`, with an id of its own, or none has and it sleeps. */
  beginRelay(whose: Whose, live?: Live, childId?: string): HttpRelay {
    const relay = new HttpRelay(this.#httpOptionsFor(whose), live, childId);
    this.records?.add(relay.session, relay.readers, { front: "relay", server: whose.server });
    this.http.add(relay);
    return relay;
  }

  /** The session of that id that was there before the daemon was: its next message brings a child, and is replayed. */
  #comeBack(id: string, whose: Whose): HttpFront | HttpRelay | undefined {
    const stored = this.records?.find(id, whose);
    if (stored === undefined || stored.front === "sse") return undefined;
    const { front, memory } = stored;
    const options = { ...this.#httpOptionsFor(whose), id };
    const one =
      front === "relay"
        ? new HttpRelay(options)
        : new HttpFront(options, options.again(initializeIn(memory)));
    one.session.memory.recall(memory);
    const record = this.records!.add(one.session, one.readers, { front, server: whose.server });
    this.records!.readd(record, stored);
    this.http.add(one);
    return one;
  }

  #httpOptionsFor(whose: Whose): HttpFrontOptions {
    const again = (initialize: ClientMessage): Place =>
      this.#choose(whose.instance, whose.server, [initialize]);
    return { ...this.#optionsFor(whose), ...this.#resuming(), again };
  }

  /** Sends a request that belongs to no session to a server that speaks Streamable HTTP itself. Throws as `LonePost` does. */
  carry({ instance, server }: Whose, request: LoneRequest, live: Live): LonePost {
    const { backends } = this;
    const { survival } = this.#options;
    const { resend } = server;
    return new LonePost({ ...request, instance, backends, resend, survival }, live);
  }

  #resuming() {
    const log = this.#newLog();
    const { resumeWindowMs } = this.#options.config;
    const onParked = (served: Instance | undefined): void => this.#discard(served);
    return { log, resumeWindowMs, onParked, flow: new Flow(log, new Unread(this.unread)) };
  }

  #newLog(): EventLog<NumberedStream> {
    return new EventLog(this.#logs, this.#options.config.eventLog);
  }

  #optionsFor(whose: Whose): SessionOptions {
    return optionsFor(this.#parts, whose);
  }

  /** Counts what waits for a client on this outlet, until it is closed. */
  unreadOf(outlet: Waiting): Unread {
    return new Unread(this.unread, outlet);
  }

  /** Whether a stdio server knows 2026-07-28. Rejects with what keeps it from starting. */
  async isModern(instance: Instance): Promise<boolean> {
    return (await this.#options.eraOf(instance.ref)) === "modern";
  }

  /** The instance of a stdio server that serves requests of 2026-07-28. */
  modernOf(ref: Ref): Instance {
    return this.#options.instanceOf({ ...ref, variant: MODERN_VARIANT }, "{}");
  }

  /** What serves requests of 2026-07-28 to this server, which speaks stdio or is part of the daemon. */
  modern({ instance: given, server, settings }: Omit<Whose, "holder">): ModernServer {
    const { survival } = this.#options;
    const { resend } = server;
    const instance = server.kind === "builtin" ? given : this.modernOf(given.ref);
    const connect = connectFor(this.#parts, settings);
    return new ModernServer({ instance, resend, connect, survival });
  }

  /**
   * From now on takes no request. Resolves when those under way are answered, or after that time, when
   * those that the children have not answered are answered with INSTANCE_EXITED and whether they may
   * have happened, and streams have ended.
   */
  async finish(refusal: SupervisorError, withinMs: number): Promise<void> {
    this.refusal = refusal;
    await quiet(() => this.open.requestCount === 0 && !this.#isBusy, withinMs);
    // What ends from here on comes back with the next daemon.
    this.records?.rest();
    const cutOff = cutByStop(refusal);
    for (const { session } of this.sse) session.giveUp(cutOff);
    this.http.giveUp(cutOff);
    // Nobody has to know there whether it may have happened: these calls are made again, or not, by people.
    this.calls.giveUp(refusal);
    for (const one of this.carried) one.giveUp(cutOff);
  }

  /** Resolves when what was said last has gone out, or soon: a client need not read. */
  async told(): Promise<void> {
    await quiet(() => this.open.count === 0, LAST_WORDS_MS);
  }

  get #isBusy(): boolean {
    for (const front of this.sse) if (front.isBusy) return true;
    return false;
  }

  /**
   * Ends everything that was opened with this credential, at once; but for sessions of a JWT, which
   * the next one of that issuer goes on with.
   */
  closeCredential(ended: Credential): void {
    this.open.closeCredential(ended);
    if (ended.issuer !== BY_KEY) return;
    this.records?.endAll(ended);
    this.closeWhere(({ holder }) => isSameCredential(holder, ended));
  }

  /** Ends everything of this user, at once. */
  closeUser(user: string): void {
    this.open.closeUser(user);
    this.records?.endAll({ user });
    this.closeWhere(({ holder }) => holder.user === user);
    this.calls.closeUser(user);
  }

  /** Ends these for good, streams and all. */
  closeWhere(matches: (session: Session) => boolean): void {
    this.http.closeWhere(matches);
    this.sse.closeWhere(matches);
  }

  /** Ends sessions that nobody has used for `sessionTtl`, streams and all: the server's words alone are no use. */
  expire(): void {
    const oldest = performance.now() - this.#options.config.sessionTtlMs;
    this.sse.closeWhere((_, front) => front.isUnusedSince(oldest));
    this.http.expire();
    this.calls.expire();
    this.records?.sweep();
  }

  /** Ends everything that was opened to this server, at once. */
  closeServer(server: string): void {
    this.records?.endAll({ server });
    this.closeWhere(({ instance }) => instance.ref.server === server);
    this.calls.closeServer(server);
    const gone = new SupervisorError("SERVER_NOT_FOUND", "the server is gone, or is another one");
    for (const one of this.carried) if (one.listensTo === server) one.giveUp(gone);
  }

  /** Ends everything that users whom this server is closed to have open to it, at once. */
  closeServerTo(server: string, isOut: (user: string) => boolean): void {
    this.open.closeServer(server, isOut);
    this.records?.endOf(server, isOut);
    this.closeWhere(({ instance, holder }) => instance.ref.server === server && isOut(holder.user));
    this.calls.closeServer(server, isOut);
  }

  close(): void {
    clearInterval(this.#timer);
    this.open.closeAll();
    this.sse.closeAll();
    this.http.closeAll();
    this.calls.closeAll();
    this.records?.close();
  }

  /**
   * Whose clients can be asked have a stdio child each, because a question has no address; the others
   * share one where they declare the same. Throws REQUEST_INVALID for another message than `initialize`,
   * whatever stands behind the session.
   */
  #choose(instance: Instance, server: ServerDef, messages: readonly ClientMessage[]): Place {
    const capabilities = capabilitiesOf(messages);
    const askable = askableIn(capabilities);
    const variant = variantFor(server, capabilities, askable.size > 0);
    const ref = { ...instance.ref, variant };
    const wanted = versionWantedBy(messages[0]!);
    return { instance: this.#options.instanceOf(ref, capabilities, wanted), askable };
  }

  #discard(serving: Instance | undefined): void {
    if (serving !== undefined && isOwnVariant(serving.ref.variant)) this.#options.discard(serving);
  }
}
