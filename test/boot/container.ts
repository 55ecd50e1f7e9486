import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { CannotRun } from "./system.ts";

const CGROUPS = "/sys/fs/cgroup";
const TIME_LIMIT_S = 420;

/** The hierarchies that systemd in a container needs a place of its own in. */
function hierarchies(): string[] {
  if (existsSync(join(CGROUPS, "cgroup.controllers"))) return [CGROUPS];
  return ["unified", "systemd"]
    .map((name) => join(CGROUPS, name))
    .filter((path) => existsSync(path));
}

function kill(cgroup: string): void {
  for (const entry of readdirSync(cgroup, { withFileTypes: true }))
    if (entry.isDirectory()) kill(join(cgroup, entry.name));
  for (const pid of readFileSync(join(cgroup, "cgroup.procs"), "utf8").split("\n").filter(Boolean))
    process.kill(Number(pid), "SIGKILL");
  for (let attempt = 0; attempt < 100; attempt += 1) {
    try {
      rmdirSync(cgroup);
      return;
    } catch {
      spawnSync("sleep", ["0.05"]);
    }
  }
}

/** Boots the system in a container without a network; ends once it has powered off, with the tests' exit code. */
export function bootContainer(folder: string, root: string): number {
  const name = `mcps-${process.pid}`;
  const cgroups = hierarchies().map((path) => join(path, name));
  for (const cgroup of cgroups) mkdirSync(join(cgroup, "run"), { recursive: true });
  try {
    // In a subtree of its own: systemd takes over the part of the tree that it finds itself in.
    const enter = cgroups.map((cgroup) => `echo $$ > ${cgroup}/run/cgroup.procs`);
    const boot = [
      `exec timeout ${TIME_LIMIT_S} systemd-nspawn --quiet --boot --register=no --keep-unit`,
      `--private-network --machine=${name} --directory=${root}`,
    ];
    const { stdout, stderr } = spawnSync("sh", ["-c", [...enter, boot.join(" ")].join("\n")], {
      encoding: "utf8",
      // The second leaves /proc/sys as it is on a machine, where sandboxes write limits of their own.
      env: {
        ...process.env,
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1",
        SYSTEMD_NSPAWN_API_VFS_WRITABLE: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
      cwd: folder,
    });
    return verdict(root, `${stdout}${stderr}`);
  } finally {
    for (const cgroup of cgroups) kill(cgroup);
  }
}

function verdict(root: string, console: string): number {
  const [log, code] = ["test.log", "test.code"].map((name) => join(root, name));
  if (!existsSync(log!))
    throw new CannotRun(
      `the container did not boot:\n${console.split("\n").slice(-20).join("\n")}`,
    );
  process.stdout.write(readFileSync(log!));
  // Tests that were cut short have a log and no code.
  return existsSync(code!) ? Number(readFileSync(code!, "utf8")) : 1;
}
