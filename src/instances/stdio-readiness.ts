import { ModernStdio } from "../links/modern-stdio.ts";
import type { Offers } from "../links/offers.ts";
import { SharedStdio } from "../links/shared-stdio.ts";
import type { ChildPipes } from "../links/stdio-pipe.ts";
import { noteIn, noteOf } from "./child-note.ts";
import type { Keepsake } from "../engines/engine.ts";
import { numbersOf } from "../links/own-ids.ts";
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
  /** Of a child that outlives the daemon. */
  keepsake?: Keepsake | undefined;
  signal: AbortSignal;
  onMissing: (missing: string) => void;
}

/**
 * Resolves once the child has answered the first question of its era. Rejects with the signal's
 * reason, or UPSTREAM_INVALID for an answer of the other era.
 */
export async function untilAnswering(input: StdioReadinessInput): Promise<StdioTarget> {
  const { era, version, signal, onMissing } = input;
  const { keepsake } = input;
  const idsAfter = keepsake && numbersOf(keepsake.epoch);
  const pipes = {
    ...input.pipes,
    clientVersion: version,
    ...(idsAfter !== undefined && { idsAfter }),
  };
  const found = keepsake && noteIn(keepsake);
  if (era === "modern") {
    onMissing("it did not answer server/discover");
    const hub = new ModernStdio(pipes);
    if (found?.versions !== undefined) hub.resume(found.versions);
    else await Promise.race([hub.discover(), aborted(signal)]);
    keepsake?.leave(noteOf({ versions: hub.versions }));
    return { transport: "stdio", era, hub };
  }
  onMissing("it did not answer initialize");
  const { capabilities, isOwn, resumeWindowMs } = input;
  const shared = new SharedStdio({ ...pipes, capabilities, isOwn, resumeWindowMs });
  if (found?.greeting !== undefined) shared.takeUp(Buffer.from(found.greeting, "latin1"));
  else await Promise.race([shared.initialize(input.offers), aborted(signal)]);
  keepsake?.leave(noteOf({ greeting: shared.greeting.toString("latin1") }));
  return { transport: "stdio", era, shared };
}
