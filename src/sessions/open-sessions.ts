import type { Catalog } from "../catalog/catalog.ts";
import type { LastShown } from "../instances/last-shown.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Closers } from "../platform/closers.ts";
import type { Survival } from "../telemetry/survival.ts";
import { Sessions } from "./sessions.ts";
import type { SessionsOptions } from "./sessions.ts";

export interface SessionsParts
  extends
    Pick<SessionsOptions, "config" | "discard" | "version">,
    NonNullable<SessionsOptions["kept"]> {
  catalog: Pick<Catalog, "find">;
  supervisor: Pick<Supervisor, "instance" | "eraOf">;
  survival: Survival;
  lastShown: LastShown;
}

/** Opens the sessions of what the supervisor runs. */
export function openSessions(
  { config, discard, version, supervisor, survival, lastShown, catalog, ...kept }: SessionsParts,
  closers: Closers,
): Sessions {
  const instanceOf = supervisor.instance.bind(supervisor);
  const eraOf = supervisor.eraOf.bind(supervisor);
  const { store, vault, log } = kept;
  const parts = { config, version, instanceOf, eraOf, discard, lastShown, survival };
  const sessions = closers.opened(new Sessions({ ...parts, kept: { store, vault, log } }));
  sessions.records?.open((name) => catalog.find(name));
  return sessions;
}
