import type { Logger } from "../../telemetry/logger.ts";
import { KEEP_LIMITS } from "./limits.ts";
import type { Unkept } from "./limits.ts";
import type { ProcessEngine } from "./process-engine.ts";
import type { Reaped } from "./reaper.ts";

/** Logs what an admin should know of how it opened: what cannot be kept here, and what was left by an earlier daemon. */
export function reportOpening(
  { delegationFailure }: Pick<ProcessEngine, "delegationFailure">,
  { count, left }: Reaped,
  unkept: readonly Unkept[],
  log: Logger,
): void {
  if (delegationFailure)
    log.error({ err: delegationFailure }, "the delegated cgroup cannot be used");
  if (unkept.length > 0)
    log.warn(
      { unkept },
      `limits of the config that are not in force; to have them, ${KEEP_LIMITS}`,
    );
  if (count > 0) log.warn({ count }, "ended processes that an earlier daemon had left behind");
  if (left.length > 0) {
    const pids = left.map(({ pid }) => pid);
    log.error({ pids }, "processes that an earlier daemon had left behind could not be ended");
  }
}
