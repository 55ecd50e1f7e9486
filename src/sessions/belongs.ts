import { isSamePrincipal } from "../auth/principal.ts";
import type { Session } from "./session.ts";
import type { Whose } from "./session-options.ts";

/** By what a client claims a session: who it is, whose path it came by, and what it set there. */
export type Claim = Whose;

/**
 * Whether a client that comes by this instance's path with these settings may go on with the session:
 * it is the principal that opened it.
 */
export const belongs = (
  session: Pick<Session, "instance" | "mark" | "holder">,
  { instance, settings, holder }: Pick<Claim, "instance" | "settings" | "holder">,
): boolean =>
  session.instance === instance &&
  session.mark === settings?.mark &&
  isSamePrincipal(session.holder, holder);
