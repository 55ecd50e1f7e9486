import { unheard } from "../containment.ts";
import type { Instance } from "../instances/supervisor.ts";
import type { Place } from "./serving.ts";
import type { Session } from "./session.ts";

/** The session is served again, where it was parked; `again` tells by which instance. */
export function serveAgain(session: Session, again: () => Place): void {
  if (session.serving === undefined) session.begin(again());
}

/** As `serveAgain`, for a client that only listens: it says nothing that would bring the next child. */
export function wake(session: Session, again: () => Place): void {
  if (session.serving !== undefined || session.memory.subscriptions.size === 0) return;
  serveAgain(session, again);
  unheard("session", (failure) => session.giveUp(failure), session.open());
}

/** No way to a server, and no instance, is kept for the session any more: that one no longer serves it. False where `Session.park` is. */
export function park(session: Session, onParked: (served: Instance | undefined) => void): boolean {
  const served = session.serving?.instance;
  if (!session.park()) return false;
  onParked(served);
  return true;
}
