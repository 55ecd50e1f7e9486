import type { Askable } from "../mcp/askable.ts";
import type { Follower, Instance } from "../instances/supervisor.ts";
import { InFlight } from "./in-flight.ts";
import { IdleHolds } from "./idle-holds.ts";
import { isRepeatable } from "./resend.ts";
import type { Resend } from "./resend.ts";

/** The instance that serves a session, and what its client declared that lets a server ask it. */
export interface Place {
  readonly instance: Instance;
  readonly askable: ReadonlySet<Askable>;
}

/** What counts the messages of a session into the instance that serves it. */
export interface Serving extends Place {
  readonly inFlight: InFlight;
  readonly holds: IdleHolds;
}

/** The session is counted from now on. */
export function serve({ instance, askable }: Place, resend: Resend, session: Follower): Serving {
  instance.usage.sessions += 1;
  instance.usage.followers.add(session);
  const mayRepeat = (method: string): boolean => isRepeatable(method, resend);
  const holds = new IdleHolds(instance.usage);
  return { instance, askable, inFlight: new InFlight(instance.usage, holds, mayRepeat), holds };
}

/** The session is counted no more, and nothing is kept for it. */
export function unserve({ instance, inFlight, holds }: Serving, session: Follower): void {
  instance.usage.followers.delete(session);
  inFlight.drain();
  holds.clear();
  instance.usage.sessions -= 1;
}
