import { childServers, isPodServer } from "./child-servers.ts";
import { unreachable } from "./loopback.ts";
import { formatProblem } from "./problems.ts";
import type { ChildServer, Config } from "./types.ts";

/**
 * What an admin should know of a config that is right, a line each as `path: message`. `isSandboxed`
 * says which servers run in a sandbox, or may.
 */
export function warningsOf(
  config: Pick<Config, "servers" | "warnings">,
  isSandboxed: (def: ChildServer) => boolean,
): string[] {
  const servers = Object.values(config.servers);
  const apart = [...childServers(servers).filter(isSandboxed), ...servers.filter(isPodServer)];
  return [...config.warnings, ...apart.flatMap(unreachable).map(formatProblem)];
}

/** For who does not know what the machine gives: "auto" is a sandbox wherever there can be one. */
export const maySandbox = ({ isolation }: ChildServer): boolean =>
  isolation === "auto" || isolation === "sandbox";
