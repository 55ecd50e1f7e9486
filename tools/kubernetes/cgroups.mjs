// The cgroup that all of the cluster is in, in each hierarchy that the machine has.
import { mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CGROUP, NODES } from "./places.mjs";

const ROOT = "/sys/fs/cgroup";
/** What containers are bounded by. */
const CONTROLLERS = ["cpu", "cpuset", "memory", "pids"];

function findHierarchies() {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "));
  if (mounts.some(([, path, kind]) => path === ROOT && kind === "cgroup2")) return [ROOT];
  // Beside the old hierarchies the new one may be mounted, without controllers; runc makes groups there, too.
  return mounts
    .filter(([, path, kind]) => /^cgroup2?$/.test(kind ?? "") && path?.startsWith(ROOT))
    .map(([, path]) => path);
}

const hierarchies = findHierarchies();
const isUnified = hierarchies[0] === ROOT;
/** The one by which processes are found: every process of a container is in all of them. */
const COUNTED = hierarchies.find((path) => isUnified || path.endsWith("/pids"));
/** What a process writes its pid to before it becomes one of the cluster. */
export const SYSTEM_PROCS = join(COUNTED ?? ROOT, CGROUP, "system", "cgroup.procs");

function makeOne(folder) {
  mkdirSync(folder, { recursive: true });
  if (isUnified)
    writeFileSync(
      join(folder, "cgroup.subtree_control"),
      CONTROLLERS.map((name) => `+${name}`).join(" "),
    );
  else if (folder.includes("/cpuset/"))
    for (const file of ["cpuset.cpus", "cpuset.mems"])
      writeFileSync(join(folder, file), readFileSync(join(folder, "..", file)));
}

export function makeCgroups() {
  if (COUNTED === undefined) throw new Error("this machine has no cgroups that count processes");
  for (const path of hierarchies) {
    makeOne(join(path, CGROUP));
    for (const { name } of NODES) makeOne(join(path, CGROUP, name));
  }
  mkdirSync(join(SYSTEM_PROCS, ".."), { recursive: true });
}

function foldersBelow(folder) {
  let entries = [];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
  const inner = entries.filter((entry) => entry.isDirectory());
  return [...inner.flatMap(({ name }) => foldersBelow(join(folder, name))), folder];
}

const pidsOf = (folder) => {
  try {
    return readFileSync(join(folder, "cgroup.procs"), "utf8").split("\n").filter(Boolean);
  } catch (error) {
    // Gone meanwhile, with all that was in it.
    if (error.code === "ENOENT" || error.code === "ENODEV") return [];
    throw error;
  }
};

/** All processes of the cluster and of its pods. */
export const pidsOfCluster = () =>
  foldersBelow(join(COUNTED ?? ROOT, CGROUP))
    .flatMap(pidsOf)
    .map(Number);

/** What is there still, which must have no process in it. */
export function removeCgroups() {
  for (const path of hierarchies)
    for (const folder of foldersBelow(join(path, CGROUP))) rmdirSync(folder);
}

export const leftCgroups = () => hierarchies.flatMap((path) => foldersBelow(join(path, CGROUP)));
