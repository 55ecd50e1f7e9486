import type { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { AnswerOutcome } from "../mcp/envelope.ts";

/**
 * What became of a call of a tool. `refused`: the server did not take it. `lost`: nobody will answer
 * any more, or nobody is there to hear it. `cancelled`: the client said so.
 */
export type CallOutcome = AnswerOutcome | "refused" | "lost" | "cancelled";

/** One call of a tool that the server has; ends once. */
export interface OpenCall {
  /** `reason` says why it was lost: `the child was killed by SIGKILL`. */
  end(outcome: CallOutcome, bytesOut: number, reason?: string): void;
}

/** Who wants to know what becomes of the calls in one POST. */
export interface CallWatch {
  /** Of the POST. */
  readonly requestId: string;
  /** What the POST asked for will not come, and its client is told so somewhere else than in its answer. */
  failApart(error: SupervisorError): void;
  begin(tool: string): OpenCall;
}

/** Takes note of a call without an id: servers may well do what it says, and will never tell. */
export function noteUnanswerable({ id, tool }: ClientMessage, watch: CallWatch): void {
  if (id === undefined && tool !== undefined) watch.begin(tool).end("lost", 0);
}
