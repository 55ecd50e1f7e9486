import { guarded } from "../containment.ts";
import type { SupervisorError } from "../errors.ts";
import { askableIn } from "../mcp/askable.ts";
import type { Askable } from "../mcp/askable.ts";
import { CancelledCalls } from "./cancelled-calls.ts";
import type { OpenCalls } from "./open-calls.ts";
import { CallMutex } from "./call-mutex.ts";

/** Calls during which a server may ask the client something. */
const MAY_ASK_BACK = new Set(["tools/call", "prompts/get", "resources/read"]);

/** A session, as far as it can be asked. */
export interface Respondent {
  /** What its client declared that lets a server ask it. */
  readonly askable: ReadonlySet<Askable>;
}

export interface QuestionsOptions<Session> {
  /** What the child is told that its clients declared, as JSON text. */
  capabilities: string;
  /** The child is one session's own. */
  isOwn: boolean;
  /** How long a cancelled call that the child does not answer counts as one that it is at work on. */
  resumeWindowMs: number;
  /** Those that are there, the latest last. */
  sessions: ReadonlySet<Session>;
  /** Those that wait for an answer. */
  calls: Pick<OpenCalls<Session>, "clients">;
  /** Something failed that nobody waits for. */
  onBroken: (failure: SupervisorError) => void;
}

/**
 * Whom a child's questions (requests) go to, and who may answer them. Over stdio a question has no
 * address. Of a session's own child it is that session's; of a shared one it goes only to a session
 * whose call is under way there, and where sessions share it that can be asked, their calls take turns.
 */
export class Questions<Session extends Respondent> {
  readonly turns: CallMutex<Session>;
  readonly #options: QuestionsOptions<Session>;
  readonly #takesTurns: boolean;
  readonly #cancelled: CancelledCalls<Session>;
  /** Those that wait for a session's answer, by the child's id. */
  readonly #open = new Map<string, Session>();

  constructor(options: QuestionsOptions<Session>) {
    this.#options = options;
    this.turns = new CallMutex(options.onBroken);
    this.#takesTurns = !options.isOwn && askableIn(options.capabilities).size > 0;
    this.#cancelled = new CancelledCalls(
      options.resumeWindowMs,
      guarded("child", options.onBroken, (hadTurn: boolean) => {
        if (hadTurn) this.turns.leave();
      }),
    );
  }

  /** Whether this call has to wait for the turn of its session. */
  needsTurn({ askable }: Session, method: string): boolean {
    return this.#takesTurns && askable.size > 0 && MAY_ASK_BACK.has(method);
  }

  /** A call was cancelled; by its session, which is undefined where it was for its leaving. */
  cancelled(hubId: number, session: Session | undefined, hasTurn: boolean): void {
    this.#cancelled.add(hubId, session, hasTurn);
  }

  /** The child has answered what may have been a cancelled call. */
  answered(hubId: number | undefined): void {
    if (hubId !== undefined) this.#cancelled.answered(hubId);
  }

  /** Notes the question and returns whom it goes to; undefined where it is to be refused. */
  ask(id: string, method: string): Session | undefined {
    const session = this.#addressee(method);
    if (session === undefined || !this.#options.sessions.has(session)) return undefined;
    this.#open.set(id, session);
    return session;
  }

  /** Whether this answer counts: only the session that was asked may give one, and once. */
  accept(id: string, session: Session): boolean {
    return this.#open.get(id) === session && this.#open.delete(id);
  }

  /** The child takes a question back; returns who has to hear of it. */
  withdraw(id: string): Session | undefined {
    const session = this.#open.get(id);
    this.#open.delete(id);
    return session;
  }

  /** The session is over; returns the questions that it leaves without an answer. */
  leave(session: Session): string[] {
    this.turns.withdraw(session);
    this.#cancelled.left(session);
    const left = [...this.#open].flatMap(([id, asked]) => (asked === session ? id : []));
    for (const id of left) this.#open.delete(id);
    return left;
  }

  /** The child has ended. */
  end(): void {
    this.#cancelled.clear();
  }

  #addressee(method: string): Session | undefined {
    const { isOwn, sessions } = this.#options;
    if (isOwn) return [...sessions].at(-1);
    if (!this.#takesTurns) return this.#onlyCaller();
    const { holder } = this.turns;
    if (holder !== undefined || method !== "roots/list") return holder;
    return [...sessions].findLast(({ askable }) => askable.has("roots"));
  }

  /** The one session with calls under way; of two the question could be either's. */
  #onlyCaller(): Session | undefined {
    let only: Session | undefined;
    for (const session of this.#cancelled.sessions())
      if (session === undefined || session !== (only ??= session)) return undefined;
    for (const session of this.#options.calls.clients())
      if (session !== (only ??= session)) return undefined;
    return only;
  }
}
