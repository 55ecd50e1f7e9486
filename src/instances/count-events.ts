import type { Metrics } from "../telemetry/metrics.ts";
import type { Supervisor } from "./supervisor.ts";

/** Counts starts, restarts, failures and hurried ends of children from now on. */
export function countEvents({ events }: Pick<Supervisor, "events">, metrics: Metrics): void {
  events.on("failed", ({ ref }) => metrics.failed(ref.server));
  events.on("restarted", ({ ref }) => metrics.restarted(ref.server));
  events.on("cut-short", ({ ref }) => metrics.drainCut(ref.server));
  events.on("state", ({ ref, state }) => {
    if (state === "ready") metrics.started(ref.server);
  });
}
