import type { LastShown } from "../instances/last-shown.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Closers } from "../platform/closers.ts";
import type { Survival } from "../telemetry/survival.ts";
import { Sessions } from "./sessions.ts";
import type { SessionsOptions } from "./sessions.ts";

export interface SessionsParts extends Pick<SessionsOptions, "config" | "discard" | "version"> {
  supervisor: Pick<Supervisor, "instance" | "eraOf">;
  survival: Survival;
  lastShown: LastShown;
}

/** Opens the sessions of what the supervisor runs. */
export function openSessions(
  { config, discard, version, supervisor, survival, lastShown }: SessionsParts,
  closers: Closers,
): Sessions {
  const instanceOf = supervisor.instance.bind(supervisor);
  const eraOf = supervisor.eraOf.bind(supervisor);
  const parts = { config, version, instanceOf, eraOf, discard, lastShown, survival };
  return closers.opened(new Sessions(parts));
}
