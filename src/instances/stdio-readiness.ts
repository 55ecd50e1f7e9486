import { ModernStdio } from "../links/modern-stdio.ts";
import type { Offers } from "../links/offers.ts";
import { SharedStdio } from "../links/shared-stdio.ts";
import type { ChildPipes } from "../links/stdio-pipe.ts";
import { aborted } from "../platform/abort.ts";
import type { Era } from "./instance-types.ts";
import type { StdioTarget } from "../links/target.ts";

export interface StdioReadinessInput {
  pipes: ChildPipes;
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
}

/**
 * Resolves once the child has answered the first question of its era. Rejects with the signal's
 * reason, or UPSTREAM_INVALID for an answer of the other era.
 */
export async function untilAnswering(input: StdioReadinessInput): Promise<StdioTarget> {
  const { era, version, signal, onMissing } = input;
  const pipes = { ...input.pipes, clientVersion: version };
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
