import { unheard } from "../containment.ts";
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
