import type { Supervisor } from "../instances/supervisor.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { Tokens } from "../tokens/tokens.ts";

export interface KeepFreshParts {
  tokens: Pick<Tokens, "refresher" | "shared">;
  supervisor: Pick<Supervisor, "list">;
  metrics: Metrics;
}

/** From now on tokens of providers are refreshed before they end, and the tries counted. */
export function keepFresh({ tokens, supervisor, metrics }: KeepFreshParts): void {
  const { refresher, shared } = tokens;
  refresher.events.on("tried", ({ provider, outcome }) => metrics.refreshed(provider, outcome));
  shared.events.on("tried", ({ provider, outcome }) => metrics.refreshed(provider, outcome));
  const running = () =>
    supervisor.list().filter(({ state }) => state === "ready" || state === "starting");
  refresher.start(() => new Set(running().map(({ user, server }) => `${user}/${server}`)));
  shared.start(() => new Set(running().map(({ server }) => server)));
}
