import { SupervisorError } from "../errors.ts";
import { rpcErrorText } from "../http/error-response.ts";
import type { Ref } from "../instances/supervisor.ts";
import { idsAskedOn, isLastNumber } from "./event-id.ts";
import type { EventId } from "./event-id.ts";
import type { EventLog } from "./event-log.ts";
import { NumberedStream } from "./numbered-stream.ts";
import type { Return } from "./numbered-stream.ts";
import type { ClientOutlet } from "./outlet.ts";
import type { ResumableAnswer, Resuming } from "./resumable-answer.ts";
import { answerGone } from "./session-errors.ts";

/** What a client comes back for with the last id that it has. */
export type Resumption<Answer extends Pick<ResumableAnswer, "name"> = ResumableAnswer> =
  /** An answer that it has had: what came is what there is. */
  | { readonly kind: "answered" }
  /** What is under way. */
  | { readonly kind: "open"; readonly answer: Answer }
  /** What is over, and kept. */
  | { readonly kind: "kept"; readonly stream: NumberedStream }
  /** An answer of which nothing is known any more. */
  | { readonly kind: "gone"; readonly asked: readonly string[] }
  /** A stream of which nothing is known any more. */
  | { readonly kind: "unknown" };

/** What `id` means to a session with these answers under way. */
export function resumptionOf<Answer extends Pick<ResumableAnswer, "name">>(
  { stream, n }: EventId,
  open: Iterable<Answer>,
  log: EventLog<NumberedStream>,
): Resumption<Answer> {
  const asked = idsAskedOn(stream);
  if (asked !== undefined && isLastNumber(n)) return { kind: "answered" };
  for (const answer of open) if (answer.name === stream) return { kind: "open", answer };
  const kept = log.find(stream);
  if (kept !== undefined) return { kind: "kept", stream: kept };
  return asked === undefined ? { kind: "unknown" } : { kind: "gone", asked };
}

/** 405 is what ends a client's tries (SDK of TypeScript): there is nothing more to come. */
export const alreadyAnswered = (): SupervisorError =>
  new SupervisorError("METHOD_NOT_ALLOWED", "the answer is complete, and was read to its end");

/** Answers with what is kept of an answer that is over, and for what of it is not, that it is gone. */
export function answerAgain(
  outlet: ClientOutlet,
  { n, stream: name }: EventId,
  found: NumberedStream | readonly string[],
  { ref, resuming, requestId }: { ref: Ref; resuming: Resuming; requestId: string },
): void {
  const log = resuming.log!;
  const isKept = found instanceof NumberedStream;
  const stream = isKept ? found : new NumberedStream({ name, log, asked: found, n });
  const missed = (id: string): string => rpcErrorText(answerGone(ref), requestId, id);
  const back: Return = { after: n, makeGood: () => [], missed, isPrimed: resuming.isPrimed };
  outlet.head(200, { "content-type": "text/event-stream" }, true);
  stream.goOn(outlet, back);
  for (const id of stream.unanswered)
    stream.say(Buffer.from(missed(id)), { id, method: undefined });
  stream.hangUp();
}
