import { rpcErrorText } from "../http/error-response.ts";
import { PATIENCE_MS, PRIMED_PATIENCE_MS } from "./bridged-answer.ts";
import type { Instance } from "../instances/supervisor.ts";
import type { EventId } from "./event-id.ts";
import type { EventLog } from "./event-log.ts";
import { allNews } from "./news.ts";
import type { NumberedStream, Return } from "./numbered-stream.ts";
import type { ClientOutlet } from "./outlet.ts";
import { ResumableAnswer } from "./resumable-answer.ts";
import type { Resuming } from "./resumable-answer.ts";
import { alreadyAnswered, answerAgain, resumptionOf } from "./resumption.ts";
import type { Session } from "./session.ts";
import { answerGone } from "./session-errors.ts";

export interface ReturnsOptions {
  readonly log: EventLog<NumberedStream>;
  /** How long the session waits for a client that has lost a stream, with what is under way. */
  readonly resumeWindowMs: number;
  /** The client is away for good, as far as anybody knows, and that instance serves it no more. */
  readonly onParked: (served: Instance | undefined) => void;
}

/** A GET of a client. */
export interface Reading {
  readonly outlet: ClientOutlet;
  readonly requestId: string;
  /** The last event that the client has, where it comes back. */
  readonly at: EventId | undefined;
}

/** What a GET is to be answered with. */
export type Found =
  /** It is answered. */
  | { readonly kind: "done" }
  /** What is under way. */
  | { readonly kind: "open"; readonly answer: ResumableAnswer; readonly back: Return }
  /** Another stream of the session's own, with what is kept of an earlier one. */
  | { readonly kind: "own"; readonly stream: NumberedStream | undefined; readonly back: Return };

/** The first version of MCP in which streams are begun with an id and no data. */
const PRIMED_VERSION = "2025-11-25";

/** How the client of a Streamable HTTP session comes back for what it has lost. */
export class Returns implements Resuming {
  readonly log: EventLog<NumberedStream>;
  readonly resumeWindowMs: number;
  readonly #session: Session;

  constructor(session: Session, { log, resumeWindowMs }: ReturnsOptions) {
    this.#session = session;
    this.log = log;
    this.resumeWindowMs = resumeWindowMs;
  }

  get isPrimed(): boolean {
    return (this.#session.memory.serverSide?.version ?? "") >= PRIMED_VERSION;
  }

  /** How long an answer may be silent before it becomes a stream. */
  get patienceMs(): number {
    return this.isPrimed ? PRIMED_PATIENCE_MS : PATIENCE_MS;
  }

  /** The answer to a POST with these requests (their ids, as JSON text). */
  answerTo(
    asked: readonly string[],
    outlet: ClientOutlet,
    requestId: string,
    onGone: () => void,
  ): ResumableAnswer {
    return new ResumableAnswer({ resuming: this, asked, requestId, onGone }, outlet);
  }

  /** A stream of the session's own, to begin or to go on with. */
  ownStream(
    { outlet, requestId }: Reading,
    stream: NumberedStream | undefined,
    onGone: () => void,
  ): ResumableAnswer {
    const options = { resuming: this, asked: undefined, requestId, onGone };
    return new ResumableAnswer(options, outlet, stream);
  }

  /**
   * What the client comes back for, among the answers that are open; one that is over is answered
   * here. Throws METHOD_NOT_ALLOWED where the client has had all of it.
   */
  find({ outlet, requestId, at }: Reading, open: readonly ResumableAnswer[]): Found {
    if (at === undefined) return { kind: "own", stream: undefined, back: this.#back(0, requestId) };
    const found = resumptionOf(at, open, this.log);
    const who = { ref: this.#session.instance.ref, resuming: this, requestId };
    switch (found.kind) {
      case "answered":
        throw alreadyAnswered();
      case "open":
        return { ...found, back: this.#back(at.n, requestId) };
      case "gone":
        answerAgain(outlet, at, found.asked, who);
        return { kind: "done" };
      case "kept": {
        const { stream } = found;
        if (!stream.isOfPost) return { kind: "own", stream, back: this.#back(at.n, requestId) };
        answerAgain(outlet, at, stream, who);
        return { kind: "done" };
      }
      case "unknown":
        return { kind: "own", stream: undefined, back: this.#back(-1, requestId) };
    }
  }

  #back(after: number, requestId: string): Return {
    const { memory, instance } = this.#session;
    const missed = (id: string): string => rpcErrorText(answerGone(instance.ref), requestId, id);
    return { after, makeGood: () => allNews(memory), missed };
  }
}
