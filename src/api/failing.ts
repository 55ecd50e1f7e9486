import type { InstanceRow } from "../instances/supervisor.ts";

/** Down after failures, about to be tried again, or ready and at a limit: somebody should look. */
export function isFailing({ state, reason, failures }: InstanceRow): boolean {
  if (state === "ready") return reason !== null;
  return failures > 0 || (state === "stopped" && reason?.startsWith("was killed: over ") === true);
}
