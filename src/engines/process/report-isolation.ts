import { childServers } from "../../config/child-servers.ts";
import type { Config, ServerDef } from "../../config/config.ts";
import { confinementFindings } from "./findings.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Isolation } from "./isolation.ts";

/** Logs, at the start, what the isolation of this config's servers leaves open on this machine. */
export function reportIsolation(
  config: Config,
  servers: readonly ServerDef[],
  isolation: Isolation,
  log: Logger,
): void {
  const { level, machine } = isolation;
  if (level === "none")
    log.warn(
      "isolation is \"none\": children run as the daemon's own account and can read each other's tokens",
    );
  for (const { problem, remedy } of confinementFindings(machine, childServers(servers)))
    log.warn(`${problem}; to have that closed, ${remedy}`);
  for (const warning of isolation.warningsOf(config)) log.warn(`config: ${warning}`);
}
