import { toSupervisorError } from "../errors.ts";
import type { Logger } from "../observability/logger.ts";

/** Refusals of callers are told at info; what we or a child did wrong is told loudly, with its cause. */
export function report(log: Logger, requestId: string, failure: unknown): void {
  const error = toSupervisorError(failure);
  const fields = { requestId, code: error.code };
  if (error.code === "INTERNAL" || error.code === "STORE_FAILED")
    log.error({ ...fields, err: failure }, error.message);
  else if (error.status >= 500) log.warn({ ...fields, details: error.details }, error.message);
  else log.info(fields, error.message);
}
