import path from "node:path";
import { installsFolder } from "../platform/installs-folder.ts";
import { entriesOf } from "./entries.ts";
import type { Entries } from "./entries.ts";
import { isLabelValue } from "./kubernetes-schema.ts";
import type { Problem } from "./problems.ts";

const NO_CLUSTER = 'is missing, and "engine": "kubernetes" needs its "namespace" and "shimImage"';

/** The config runs children as pods, and does not say where. */
export const clusterProblems = (config: Entries): Problem[] =>
  config["engine"] === "kubernetes" && config["kubernetes"] == null
    ? [{ path: ["kubernetes"], message: NO_CLUSTER }]
    : [];

/** Whether the children of such a program are pods. */
export const isInPods = (server: Entries, config: Entries): boolean =>
  (server["engine"] ?? config["engine"]) === "kubernetes";

const HERE = "of this machine, and the server runs in pods";

/** Keys that mean nothing in a pod, and what to do instead. */
const MEANINGLESS: readonly [key: string, message: string][] = [
  [
    "reach",
    `names ports ${HERE}: a network policy of the cluster opens a service to pods with the label \`server\``,
  ],
  ["paths", `names files ${HERE}: what it reads belongs into its image`],
  ["tokenFile", "is for servers of this machine: in a pod the token is in the environment"],
];

const hasImage = (block: unknown): boolean => entriesOf(block)["image"] != null;

/** What is wrong with a program that runs in pods. The config's paths begin at `baseDir`. */
export function podProblems(
  { name, entry }: { name: string; entry: Entries },
  config: Entries,
  baseDir: string,
): Problem[] {
  const own = entry["kubernetes"];
  if (!isInPods(entry, config))
    return own === undefined
      ? []
      : [{ path: ["kubernetes"], message: 'is of no use without "engine": "kubernetes"' }];
  const problems: Problem[] = [];
  const refuse = (at: readonly PropertyKey[], message: string): void =>
    void problems.push({ path: at, message });
  if (config["kubernetes"] == null && entry["engine"] !== undefined)
    refuse(["engine"], 'needs "kubernetes" in the config, with a "namespace" and a "shimImage"');
  if (!hasImage(own) && !hasImage(config["kubernetes"]))
    refuse(["kubernetes", "image"], "is missing: a pod is made of an image with the server in it");
  for (const [key, message] of MEANINGLESS) if (isSet(entry[key])) refuse([key], message);
  const { isolation } = entry;
  if (isolation !== undefined && isolation !== "auto")
    refuse(
      ["isolation"],
      'must be "auto" in pods: what stands around one is its cluster\'s, and its "runtimeClass" says which',
    );
  if (entriesOf(entry["limits"])["pids"] !== undefined)
    refuse(["limits", "pids"], "is the kubelet's to set for pods (`podPidsLimit`)");
  if (!isLabelValue(name))
    refuse([], "must have a name that ends in a letter or digit: it is a label of its pods");
  return [...problems, ...installProblems(entry, config, baseDir)];
}

/** An empty list, or false, asks for nothing. */
function isSet(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.values(value).some(isSet);
  return value !== undefined && value !== false;
}

const INSTALLED =
  "is what `package install` fetched to this machine, and the server runs in pods: it belongs into an image";

/** What lies among the installed packages. */
function installProblems(entry: Entries, config: Entries, baseDir: string): Problem[] {
  const { dataDir = "./data" } = config;
  if (typeof dataDir !== "string") return [];
  const folder = installsFolder(path.resolve(baseDir, dataDir)) + path.sep;
  const named = [
    ...["command", "cwd"].map((key) => [[key], entry[key]] as const),
    ...Object.entries(entriesOf(entry["args"])).map(
      ([index, value]) => [["args", Number(index)], value] as const,
    ),
  ];
  return named.flatMap(([at, value]) =>
    typeof value === "string" && path.resolve(baseDir, value).startsWith(folder)
      ? [{ path: at, message: INSTALLED }]
      : [],
  );
}
