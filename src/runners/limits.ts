import { findTool } from "./programs.ts";
import type { Controller } from "./cgroup.ts";
import type { Level } from "./confinement.ts";

/** What one child and all it starts may use together; nothing said is without limit. */
export interface Limits {
  memoryBytes?: number;
  /** Processes and threads, as the kernel counts them. */
  pids?: number;
  /** Cores: 0.5 is half of one. */
  cpu?: number;
}

/** A limit that was reached. */
export type LimitHit = { kind: "memory"; bytes: number } | { kind: "pids"; count: number };

/**
 * The program within its limit of processes, for where no cgroup keeps it: the system counts them by
 * account, so this says something of the child alone only where the account is the child's alone. It
 * must stand where that account, or user namespace, is entered already.
 */
export function withinPids(pids: number, argv: readonly string[]): [string, ...string[]] {
  return [findTool("prlimit") ?? "prlimit", `--nproc=${pids}:${pids}`, "--", ...argv] as [
    string,
    ...string[],
  ];
}

/** A limit of the config that nothing keeps on this machine, and what would. */
export interface Unkept {
  server: string;
  limits: ("pids" | "cpu")[];
}

/**
 * The limits that are not in force: those of cores without a delegated cgroup, and those of
 * processes where the child has no account or user namespace of its own either. Memory always is:
 * the kernel keeps it, or the daemon watches.
 */
export function unkeptLimits(
  servers: readonly { name: string; limits: Limits; level: Level }[],
  controllers: ReadonlySet<Controller>,
): Unkept[] {
  return servers.flatMap(({ name, limits, level }) => {
    const unkept: Unkept["limits"] = [];
    const isCounted = controllers.has("pids") || (level !== "none" && findTool("prlimit"));
    if (limits.pids !== undefined && !isCounted) unkept.push("pids");
    if (limits.cpu !== undefined && !controllers.has("cpu")) unkept.push("cpu");
    return unkept.length === 0 ? [] : [{ server: name, limits: unkept }];
  });
}

/** What an admin can do about `unkeptLimits`. */
export const KEEP_LIMITS =
  "run the daemon as a systemd service with Delegate=cpu memory pids (`mcp-supervisor service install`)";
