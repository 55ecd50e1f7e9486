import { listensInside } from "./listeners.ts";
import { findProcess } from "./process-table.ts";
import type { Listeners } from "../engine.ts";

export interface EndingInput {
  leader: number;
  /** Where it listens; null for a child that is spoken to over its pipes. */
  port: number | null;
  /** The child has closed a pipe that its messages go through. */
  hasClosedPipe: boolean;
  hasOwnNetwork: boolean;
  listenersOn: (port: number) => Promise<Listeners>;
  members: () => Promise<readonly number[]>;
}

/**
 * Whether a child is on its way out, or gone. The leader may be a wrapper that outlives its server by
 * a moment: then the server is known by what it listens on or reads from, and has closed.
 */
export async function isChildEnding(input: EndingInput): Promise<boolean> {
  const { leader, port, hasClosedPipe, hasOwnNetwork } = input;
  try {
    if (isExiting(leader)) return true;
    if (port === null) return hasClosedPipe;
    if (hasOwnNetwork) return !(await listensInside(port, await input.members()));
    return (await input.listenersOn(port)).ours.length === 0;
  } catch {
    // No descriptor left for the moment: nothing speaks for its end.
    return false;
  }
}

/** Nobody has this number any more, or not for long; false where that cannot be found out for the moment. */
export function isExiting(pid: number): boolean {
  try {
    return findProcess(pid)?.isExiting ?? true;
  } catch {
    return false;
  }
}
