import type { SupervisorError } from "../errors.ts";
import { ModernStdio } from "../links/modern-stdio.ts";
import type { Offers } from "../links/offers.ts";
import { SharedStdio } from "../links/shared-stdio.ts";
import { aborted } from "../platform/abort.ts";
import type { Running } from "../engines/process/runner.ts";
import type { Era } from "./instance-types.ts";
import type { StdioTarget } from "../links/target.ts";

export interface StdioReadinessInput {
  running: Pick<Running, "stdin" | "stdout" | "output">;
  era: Era;
  /** What the child is told that its clients declared, as JSON text. */
  capabilities: string;
  /** The child is one session's own. */
  isOwn: boolean;
  resumeWindowMs: number;
  version: string;
  /** Which versions a legacy child is offered. */
  offers: Offers;
  /** Ends the wait: the child's exit, the deadline, or a stop. */
  signal: AbortSignal;
  onMissing: (missing: string) => void;
  /** The child wrote what is no message. */
  onFault: (what: string, line: Buffer | undefined) => void;
  /** What it wrote made something of ours throw, before it is ready or after. */
  onBroken: (failure: SupervisorError) => void;
}

/**
 * Resolves once the child has answered the first question of its era. Rejects with the signal's
 * reason, or UPSTREAM_INVALID for an answer of the other era.
 */
export async function untilAnswering(input: StdioReadinessInput): Promise<StdioTarget> {
  const { running, era, version, signal, onMissing, onFault, onBroken } = input;
  const { stdin, stdout, output } = running;
  const pipes = { stdin, stdout, output, clientVersion: version, onFault, onBroken };
  if (era === "modern") {
    onMissing("it did not answer server/discover");
    const hub = new ModernStdio(pipes);
    await Promise.race([hub.discover(), aborted(signal)]);
    return { transport: "stdio", era, hub };
  }
  onMissing("it did not answer initialize");
  const { capabilities, isOwn, resumeWindowMs } = input;
  const shared = new SharedStdio({ ...pipes, capabilities, isOwn, resumeWindowMs });
  await Promise.race([shared.initialize(input.offers), aborted(signal)]);
  return { transport: "stdio", era, shared };
}
