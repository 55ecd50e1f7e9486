import type { Instance } from "../instances/supervisor.ts";
import type { Session } from "./session.ts";

/** By what a client claims a session: whose path it came by, what it set there, and who issued its credential. */
export interface Claim {
  readonly instance: Instance;
  readonly mark: string | undefined;
  readonly issuer: string;
}

/**
 * Whether a client that comes by this instance's path with these settings, and with a credential of
 * this issuer, may go on with the session. So the next JWT of an issuer does, and another issuer's
 * does not, whatever it calls its user.
 */
export const belongs = (
  session: Pick<Session, "instance" | "mark" | "holder">,
  { instance, mark, issuer }: Claim,
): boolean =>
  session.instance === instance && session.mark === mark && session.holder.issuer === issuer;
