import { NOBODY } from "./confinement.ts";
import { findTool } from "./programs.ts";
import type { Confinement } from "./confinement.ts";

/** What one child and all it starts may use together; nothing said is without limit. */
export interface Limits {
  memoryBytes?: number;
  /** Processes and threads, as the kernel counts them. */
  pids?: number;
  /** Cores: 0.5 is half of one. */
  cpu?: number;
}

/** The daemon's own beside a sandboxed child count too: a watch, and a forwarder with its threads. */
const HELPERS = 16;

/** How many processes beside the child's own are in its tree at most. */
export const helpersIn = ({ level }: Confinement): number => (level === "sandbox" ? HELPERS : 0);

/**
 * Whether the system counts the processes of this child alone: it counts by account and user
 * namespace. Sandboxes of root without an account for each share one.
 */
export function isCountedAlone(confinement: Confinement): boolean {
  const isAlone =
    confinement.level === "user" || (confinement.level === "sandbox" && confinement.uid !== NOBODY);
  return isAlone && findTool("prlimit") !== undefined;
}

interface Confined {
  limits?: Limits;
  confinement: Confinement;
}

/** The command line within its limit of processes; goes inside of the account or user namespace that they are counted in. */
export function withinPids({ limits, confinement }: Confined, argv: Argv): Argv {
  if (limits?.pids === undefined || !isCountedAlone(confinement)) return argv;
  const most = limits.pids + helpersIn(confinement);
  return [findTool("prlimit")!, `--nproc=${most}:${most}`, "--", ...argv];
}

type Argv = [string, ...string[]];

/** A limit of the config that nothing keeps on this machine. */
export interface Unkept {
  server: string;
  limits: "cpu"[];
}

/**
 * The limits that are not in force: those of cores, which nothing but a delegated cgroup keeps. Of
 * memory and processes the daemon sees to itself what the kernel does not.
 */
export function unkeptLimits(
  servers: readonly { name: string; limits: Limits }[],
  controllers: { has(controller: "cpu"): boolean },
): Unkept[] {
  if (controllers.has("cpu")) return [];
  return servers
    .filter(({ limits }) => limits.cpu !== undefined)
    .map(({ name }) => ({ server: name, limits: ["cpu"] }));
}

/** What an admin can do about `unkeptLimits`. */
export const KEEP_LIMITS =
  "run the daemon as a systemd service with Delegate=cpu memory pids (`mcp-supervisor service install`)";
