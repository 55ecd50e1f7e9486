import { onContained } from "../containment.ts";
import type { Closers } from "../platform/closers.ts";
import { Journal } from "./journal.ts";
import type { Logger } from "./logger.ts";
import { Metrics } from "./metrics.ts";
import { Requests } from "./requests.ts";
import type { Scrubber } from "./scrubber.ts";
import { RefusedReplays, survival } from "./survival.ts";
import type { Survival } from "./survival.ts";

export interface TelemetryOptions {
  config: { metrics: { perUser: boolean } };
  log: Logger;
  scrubber: Scrubber;
}

export interface Telemetry {
  journal: Journal;
  metrics: Metrics;
  requests: Requests;
  refusedReplays: RefusedReplays;
  /** Told by sessions when a child ends. */
  survival: Survival;
}

/** Opens what tells of requests, and tells of contained failures from now on. */
export function openTelemetry(
  { config, log, scrubber }: TelemetryOptions,
  closers: Closers,
): Telemetry {
  const journal = new Journal();
  const metrics = closers.opened(new Metrics(config.metrics));
  onContained(({ owner, failure, who }) => {
    metrics.contained(owner);
    const { cause = failure } = failure;
    log.error({ owner, ...who, err: cause }, `contained: a failure here ended one ${owner}`);
  });
  const requests = new Requests({ log, journal, metrics, scrubber });
  const refusedReplays = new RefusedReplays();
  const told = survival(metrics, refusedReplays);
  return { journal, metrics, requests, refusedReplays, survival: told };
}
