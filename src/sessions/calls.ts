import type { Message } from "../mcp/envelope.ts";
import type { AnswerOutcome } from "../mcp/outcome.ts";

/**
 * What became of a call of a tool. `refused`: the server did not take it. `lost`: nobody will answer
 * any more, or nobody is there to hear it. `cancelled`: the client said so.
 */
export type CallOutcome = AnswerOutcome | "refused" | "lost" | "cancelled";

/** One call of a tool that the server has; ends once. */
export interface OpenCall {
  end(outcome: CallOutcome, bytesOut: number): void;
}

/** Who wants to know what becomes of the calls in one POST. */
export interface CallWatch {
  begin(tool: string): OpenCall;
}

/** Takes note of a call without an id: servers may well do what it says, and will never tell. */
export function noteUnanswerable({ id, tool }: Message, watch: CallWatch): void {
  if (id === undefined && tool !== undefined) watch.begin(tool).end("lost", 0);
}
