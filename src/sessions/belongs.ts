import type { Instance } from "../instances/supervisor.ts";
import type { Session } from "./session.ts";

/**
 * Whether a client that comes by this instance's path with these settings, and with a credential of
 * this issuer, may go on with the session. So the next JWT of an issuer does, and another issuer's
 * does not, whatever it calls its user.
 */
export const belongs = (
  session: Pick<Session, "instance" | "mark" | "holder">,
  instance: Instance,
  mark: string | undefined,
  issuer: string,
): boolean =>
  session.instance === instance && session.mark === mark && session.holder.issuer === issuer;
