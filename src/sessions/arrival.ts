import { SupervisorError } from "../errors.ts";
import type { LinkEvents } from "../links/link.ts";
import { withDeadline } from "../platform/deadline.ts";
import type { Attachment } from "./attachment.ts";
import { ReplayRefused, replay } from "./replay.ts";
import type { SessionMemory } from "./session-memory.ts";
import type { SessionOptions } from "./session-options.ts";

/** What a session's way to a generation hangs on. */
interface Arrival extends Pick<SessionOptions, "connect" | "patienceMs" | "survival" | "showings"> {
  readonly memory: SessionMemory;
  readonly events: LinkEvents;
  /** Throws where the session has ended meanwhile. */
  readonly requireOpen: () => void;
}

/**
 * Opens the link of a session's place on a generation, to a stdio child at once, and tells that what
 * the last one knew, where there was one. Rejects with UPSTREAM_*, as `replay` does, and as
 * `requireOpen` throws.
 */
export async function arrive(at: Attachment, arrival: Arrival): Promise<void> {
  const { connect, events, memory, requireOpen } = arrival;
  const opened = connect(at.live, events, at);
  at.use(opened instanceof Promise ? await opened : opened);
  requireOpen();
  if (memory.initialize === undefined) return;
  await replayAt(at, arrival);
  requireOpen();
}

async function replayAt(at: Attachment, arrival: Arrival): Promise<void> {
  const { memory, patienceMs, survival, showings } = arrival;
  const { ref } = at.live;
  try {
    await withDeadline(replay(at, memory), patienceMs, () => {
      const what = "the server did not answer `initialize` in time";
      throw new SupervisorError("UPSTREAM_TIMEOUT", what);
    });
    survival?.onReplay(ref, "ok");
  } catch (error) {
    if (!(error instanceof ReplayRefused)) survival?.onReplay(ref, "interrupted");
    else {
      survival?.onReplay(ref, error.outcome);
      survival?.onReplayRefused(ref, error.why);
      showings?.refused(at.live, memory.initialize!);
    }
    throw error;
  }
}
