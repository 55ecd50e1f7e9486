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
