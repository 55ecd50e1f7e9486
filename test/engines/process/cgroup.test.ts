import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { rmSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { CgroupRoot } from "../../../src/engines/process/cgroup.ts";
import { takeDelegation } from "../../../src/engines/process/delegation.ts";
import { until } from "../../helpers/until.ts";

const program = (name: string) => fileURLToPath(new URL(`programs/${name}`, import.meta.url));
/** An account that nobody has. */
const UID = 60_997;

/** Where version 2 of the cgroups is mounted. */
function mountPoint(): string | undefined {
  const fields = readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .map((line) => line.split(" "));
  return fields.find((line) => line[line.indexOf("-") + 1] === "cgroup2")?.[4];
}

interface Grant {
  dir: string;
  dataDir: string;
}

/** A cgroup and a data folder that are given to the account; undefined where the machine does not let us. */
function delegate(t: TestContext): Grant | undefined {
  const mount = mountPoint();
  if (process.getuid?.() !== 0 || mount === undefined) return undefined;
  const dir = path.join(mount, `mcp-supervisor-test-${process.pid}-${Date.now()}`);
  try {
    mkdirSync(dir);
  } catch {
    return undefined;
  }
  const dataDir = mkdtempSync(path.join(tmpdir(), "delegated-"));
  t.after(async () => {
    writeFileSync(path.join(dir, "cgroup.kill"), "1");
    await until(() => isEmpty(dir), "the group is empty");
    for (const name of groupsIn(dir)) rmdirSync(path.join(dir, name));
    rmdirSync(dir);
    rmSync(dataDir, { recursive: true, force: true });
  });
  if (!existsSync(path.join(dir, "cgroup.kill"))) return undefined;
  for (const file of ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"])
    chownSync(path.join(dir, file), UID, UID);
  chownSync(dataDir, UID, UID);
  return { dir, dataDir };
}

const isEmpty = (dir: string) =>
  readFileSync(path.join(dir, "cgroup.events"), "latin1").includes("populated 0");
const groupsIn = (dir: string) =>
  readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

interface Said {
  group?: string;
  reaped?: number;
  controllers?: string[];
  line?: string;
  isStopped?: boolean;
}

/** A life of the daemon as that account, in the group that was delegated to it. */
function life(t: TestContext, { dir, dataDir }: Grant) {
  const join = 'echo $$ > "$1/cgroup.procs" && shift && exec "$@"';
  const become = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];
  const node = [process.execPath, "--no-warnings", program("delegated.ts")];
  const argv = ["-c", join, "sh", dir, ...become, ...node, dataDir, program("scatter.sh")];
  const child = spawn("sh", argv, { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const said: Said[] = [];
  createInterface({ input: child.stdout }).on("line", (text) =>
    said.push(JSON.parse(text) as Said),
  );
  let hasEnded = false;
  void once(child, "exit").then(() => (hasEnded = true));
  const hears = async (isIt: (said: Said) => boolean, what: string) => {
    await until(() => hasEnded || said.some(isIt), what, 20_000);
    return said.find(isIt) ?? assert.fail("it ended before that");
  };
  return { child, hears };
}

/** Whether that account can run this checkout, which may lie in a home that is closed to others. */
const canRunAs = () => {
  const become = [`--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];
  const check = [...become, process.execPath, "--check", program("hog.mjs")];
  return spawnSync("setpriv", check).status === 0;
};

test("a delegated cgroup: one group for each child, ended as one, and the daemon in a leaf of its own", async (t) => {
  const grant = delegate(t);
  if (!grant) return t.skip("no cgroup of version 2 can be made here");
  if (!canRunAs()) return t.skip("another account cannot read this checkout");
  const { child, hears } = life(t, grant);
  const { group } = await hears(({ reaped }) => reaped === 0, "it is ready");
  assert.equal(group, `/${path.basename(grant.dir)}/supervisor`);
  const scattered = await hears(({ line }) => line === "scattered", "the child runs");
  assert.equal(scattered.group, `/${path.basename(grant.dir)}/child-1`);
  const members = readFileSync(path.join(grant.dir, "child-1/cgroup.procs"), "latin1");
  assert.ok(members.trim().split("\n").length >= 5, "also those that went off are in it");
  child.stdin.write("stop\n");
  await hears(({ isStopped }) => isStopped === true, "the child is stopped");
  assert.deepEqual(groupsIn(grant.dir), ["supervisor"]);
  return undefined;
});

test("a delegated cgroup: what a killed life left there is ended and taken away by the next", async (t) => {
  const grant = delegate(t);
  if (!grant) return t.skip("no cgroup of version 2 can be made here");
  if (!canRunAs()) return t.skip("another account cannot read this checkout");
  const first = life(t, grant);
  await first.hears(({ line }) => line === "scattered", "the child runs");
  first.child.kill("SIGKILL");
  await once(first.child, "exit");
  assert.equal(isEmpty(path.join(grant.dir, "child-1")), false);
  const second = life(t, grant);
  const { reaped } = await second.hears(
    ({ controllers }) => controllers !== undefined,
    "it begins",
  );
  // Those in sessions of their own; the others end with the daemon, which may take a moment.
  assert.ok(reaped! >= 2);
  await second.hears(({ line }) => line === "scattered", "its own child runs");
  assert.deepEqual(groupsIn(grant.dir), ["child-1", "supervisor"].toSorted());
  return undefined;
});

test("where nobody delegated a cgroup none is touched, though root could", async () => {
  const mount = mountPoint();
  const before = mount === undefined ? [] : groupsIn(mount);
  assert.equal(await takeDelegation(), undefined);
  assert.deepEqual(mount === undefined ? [] : groupsIn(mount), before);
});

test("the limits of a child are written as the kernel reads them", (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), "cgroup-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  // A folder of plain files: what is written can be read back, as of a group with all controllers.
  const root = new CgroupRoot(dir, new Set(["memory", "pids", "cpu"]));
  const group = root.make({ memoryBytes: 2 ** 29, pids: 64, cpu: 0.25 });
  const written = Object.fromEntries(
    readdirSync(group.dir).map((file) => [file, readFileSync(path.join(group.dir, file), "utf8")]),
  );
  assert.deepEqual(written, {
    "cpu.max": "25000 100000",
    "memory.max": String(2 ** 29),
    "memory.oom.group": "1",
    "memory.swap.max": "0",
    "pids.max": "64",
  });
  writeFileSync(path.join(group.dir, "memory.events"), "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n");
  writeFileSync(path.join(group.dir, "pids.events"), "max 3\n");
  writeFileSync(path.join(group.dir, "memory.current"), "4096\n");
  assert.equal(group.isOverMemory(), true);
  assert.equal(group.refusedForks(), 3);
  assert.equal(group.memoryBytes(), 4096);
  assert.equal(group.isPopulated(), false);
});
