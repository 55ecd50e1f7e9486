import { isDeepStrictEqual } from "node:util";
import type { Config, ServerDef } from "./types.ts";

/** What another reading of the file differs in; names of servers, and of keys as the file has them. */
export interface ConfigChanges {
  changed: string[];
  added: string[];
  removed: string[];
  /** Keys whose new value is not in force before the next start. */
  needsRestart: string[];
}

/** Where the file lies, and what is in force by way of the servers only. */
const PASSED_OVER = [
  "path",
  "baseDir",
  "servers",
  "idleTimeoutMs",
  "startTimeoutMs",
  "drainTimeoutMs",
  "isolation",
  "engine",
  // In part at once, in part at the next start.
  "kubernetes",
  "disabled",
  "warnings",
  // Read once, at the start.
  "environment",
  "ownApp",
];
const LIVE = [
  "defaultServer",
  "stopTimeoutMs",
  "log",
  "limits",
  "jwt",
  "providers",
  "notices",
  "selfService",
  "allowPrivate",
  "pages",
] as const;
/** The number of turns is fixed when the queue for them is made. */
const FIXED_LIMITS = ["spawnConcurrency"] as const;
/** The cluster is reached, and the queue made, at the start; the rest is in force by way of the servers. */
const FIXED_OF_CLUSTER = ["namespace", "kubeconfig", "context", "startConcurrency"] as const;

/** Of a server: asked for when it is needed, so that no child has to be another one for it. */
const ASKED_ANEW = [
  "title",
  "description",
  "routes",
  "startTimeoutMs",
  "drainTimeoutMs",
  "overlap",
  "resend",
  "manifest",
] as const;

/** The same of its pods. */
const ASKED_ANEW_OF_PODS = ["startConcurrency", "pendingTimeoutMs", "networkPolicy"] as const;

const without = (record: object, keys: readonly string[]): object =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));

/** As much of it as makes a child what it is. */
export function runAs(def: ServerDef): object {
  const own = without(def, ASKED_ANEW);
  if (def.kind !== "child" || def.pod === undefined) return own;
  return { ...own, pod: without(def.pod, ASKED_ANEW_OF_PODS) };
}

/** Whether a child of the server would not be what it is, were it started now. */
export const isRunOtherwise = (before: ServerDef, after: ServerDef): boolean =>
  !isDeepStrictEqual(runAs(before), runAs(after));

/** How it is run and shared: what two children of one server have to have in common to take over from each other. */
const SHAPE = ["kind", "transport", "sharing"] as const;

/** As much of a server as a session has to find again to go on. */
export const shapeOf = (def: ServerDef): string => SHAPE.map((key) => def[key]).join(" ");

/** Whether a child of the one server could not do what a child of the other does. */
export const isReshaped = (before: ServerDef | undefined, after: ServerDef | undefined): boolean =>
  SHAPE.some((key) => before?.[key] !== after?.[key]);

export type ServerChanges = Pick<ConfigChanges, "changed" | "added" | "removed">;

/** Compares the servers in force with those that are to come in their place. */
export function compareServers(before: Config["servers"], after: Config["servers"]): ServerChanges {
  const names = Object.keys(after);
  return {
    changed: names.filter(
      (name) => before[name] !== undefined && !isDeepStrictEqual(before[name], after[name]),
    ),
    added: names.filter((name) => before[name] === undefined),
    removed: Object.keys(before).filter((name) => after[name] === undefined),
  };
}

/** Compares the config in force with the one that is to come. */
export function compareConfigs(before: Config, after: Config): ConfigChanges {
  const live: readonly string[] = LIVE;
  const keys = Object.keys(after) as (keyof Config)[];
  const fixed = keys.filter(
    (key) =>
      !PASSED_OVER.includes(key) &&
      !live.includes(key) &&
      !isDeepStrictEqual(before[key], after[key]),
  );
  const limits = FIXED_LIMITS.filter((key) => before.limits[key] !== after.limits[key]);
  const [cluster, next] = [before.kubernetes, after.kubernetes];
  const ofCluster = FIXED_OF_CLUSTER.filter((key) => cluster?.[key] !== next?.[key]);
  return {
    ...compareServers(before.servers, after.servers),
    // In the file durations have no unit in their names.
    needsRestart: [
      ...fixed.map((key) => key.replace(/Ms$/, "")),
      ...limits.map((key) => `limits.${key}`),
      ...(cluster && next ? ofCluster.map((key) => `kubernetes.${key}`) : []),
      ...((cluster === null) === (next === null) ? [] : ["kubernetes"]),
    ],
  };
}

/** Brings what can change while serving into the config that all rooms hold. */
export function applyLive(config: Config, after: Config): void {
  for (const key of LIVE) if (key !== "limits") Object.assign(config, { [key]: after[key] });
  const kept = Object.fromEntries(FIXED_LIMITS.map((key) => [key, config.limits[key]]));
  Object.assign(config.limits, after.limits, kept);
  const { kubernetes } = config;
  if (kubernetes !== null && after.kubernetes !== null) {
    const fixed = Object.fromEntries(FIXED_OF_CLUSTER.map((key) => [key, kubernetes[key]]));
    Object.assign(kubernetes, after.kubernetes, fixed);
  }
  config.servers = after.servers;
}
