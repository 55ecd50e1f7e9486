import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildJournal } from "../../../src/engines/process/child-journal.ts";
import { openProcessTrees } from "../../../src/engines/process/process-trees.ts";
import { findProcess, readProcessTable } from "../../../src/engines/process/process-table.ts";
import { isAlive, processesMarked } from "../../helpers/leaks.ts";
import { until } from "../../helpers/until.ts";

const program = (name: string) => fileURLToPath(new URL(`programs/${name}`, import.meta.url));
const JOURNAL = "children.journal";
/** A program run by this outlives the daemon, as one does that changes its user. */
const OUTLIVING = ["setpriv", "--pdeathsig", "clear"];

function dataFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "reaper-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A life of the daemon that starts this child and is killed when the child has said `word`; resolves with the child's pid. */
async function killedLife(
  t: TestContext,
  dataDir: string,
  word: string,
  ...argv: string[]
): Promise<number> {
  const mark = path.basename(dataDir);
  const life = spawn(
    process.execPath,
    ["--no-warnings", program("parent.ts"), dataDir, mark, ...argv],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  t.after(() => {
    life.kill("SIGKILL");
    for (const pid of processesMarked(`TEST_MARK=${mark}`)) process.kill(pid, "SIGKILL");
  });
  let said = "";
  life.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  const pid = await until(() => Number(/started (\d+)/.exec(said)?.[1] ?? 0), "the child runs");
  await until(() => said.includes(word), `it has said ${word}`);
  // What would end the child's group when the daemon is gone dies first.
  for (const { pid: starter } of (await readProcessTable()).filter(({ ppid }) => ppid === life.pid))
    process.kill(starter, "SIGKILL");
  life.kill("SIGKILL");
  await once(life, "exit");
  return pid;
}

/** The next life: what it found and ended. */
async function nextLife(dataDir: string): Promise<number> {
  const trees = await openProcessTrees(dataDir);
  const { count, left } = await trees.endLeft();
  await trees.close();
  assert.deepEqual(left, []);
  return count;
}

function sleeper(t: TestContext, env: NodeJS.ProcessEnv = {}): number {
  const child = spawn("sleep", ["3600"], { env: { ...process.env, ...env }, stdio: "ignore" });
  t.after(() => child.kill("SIGKILL"));
  return child.pid!;
}

test("the next start ends all that a killed daemon left, however it went off", async (t) => {
  const dataDir = dataFolder(t);
  await killedLife(t, dataDir, "scattered", "sh", program("scatter.sh"));
  const mark = `TEST_MARK=${path.basename(dataDir)}`;
  assert.ok(processesMarked(mark).length >= 4, "what escapes is there");
  assert.ok((await nextLife(dataDir)) >= 4);
  assert.deepEqual(processesMarked(mark), []);
});

test("a child without the marker is known by pid and start time, and with it what it started", async (t) => {
  const dataDir = dataFolder(t);
  const cleaned = [...OUTLIVING, "env", "-i", "sh", "-c", "sleep 3600 & echo up; sleep 3600"];
  const pid = await killedLife(t, dataDir, "up", ...cleaned);
  assert.ok(isAlive(pid));
  assert.equal(await nextLife(dataDir), 3);
  assert.equal(isAlive(pid), false);
});

test("a pid in the journal that is somebody else's by now is left alone", async (t) => {
  const dataDir = dataFolder(t);
  await nextLife(dataDir);
  const innocent = sleeper(t);
  const { startTicks } = findProcess(innocent)!;
  const journal = path.join(dataDir, JOURNAL);
  const forge = (ticks: number) =>
    writeFileSync(journal, `${readFileSync(journal, "latin1")}+${innocent} ${ticks}\n`);
  forge(startTicks - 1);
  assert.equal(await nextLife(dataDir), 0);
  assert.ok(isAlive(innocent));
  // The same line with the right time would have been the end of it.
  forge(startTicks);
  assert.equal(await nextLife(dataDir), 1);
});

test("children of another data folder, also of a copy of this one, are left alone", async (t) => {
  const [dataDir, copy] = [dataFolder(t), dataFolder(t)];
  const pid = await killedLife(
    t,
    dataDir,
    "up",
    ...OUTLIVING,
    "sh",
    "-c",
    "echo up; exec sleep 3600",
  );
  cpSync(dataDir, copy, { recursive: true });
  assert.equal(await nextLife(copy), 0);
  assert.equal(await nextLife(dataFolder(t)), 0);
  assert.ok(isAlive(pid));
  assert.equal(await nextLife(dataDir), 1);
});

test("a daemon that was started by a child of its own folder does not end itself", async (t) => {
  const dataDir = dataFolder(t);
  await nextLife(dataDir);
  const [folder] = readFileSync(path.join(dataDir, JOURNAL), "latin1").split(" ");
  const marked = { MCP_SUPERVISOR_CHILD: `${folder}:00000000` };
  const orphan = sleeper(t, marked);
  const life = spawn(
    process.execPath,
    ["--no-warnings", program("parent.ts"), dataDir, "self", "echo", "served"],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...marked } },
  );
  t.after(() => life.kill("SIGKILL"));
  await once(life.stdout, "data");
  assert.equal(isAlive(orphan), false);
  assert.equal(life.exitCode, null);
});

test("a journal that is no journal, or was cut short, costs no start", async (t) => {
  const dataDir = dataFolder(t);
  await nextLife(dataDir);
  const journal = path.join(dataDir, JOURNAL);
  const whole = readFileSync(journal, "latin1");
  for (const text of ["", "\0\0\0", "+1 1\n", `${whole}+1`, `${whole}+1 x\n-2\n\n`]) {
    writeFileSync(journal, text);
    assert.equal(await nextLife(dataDir), 0);
  }
});

test("the journal stays small however many children come and go, and keeps those that stay", (t) => {
  const dataDir = dataFolder(t);
  const journal = new ChildJournal(dataDir);
  t.after(() => journal.close());
  journal.begin([]);
  journal.add({ pid: 1, startTicks: 7 });
  for (let pid = 2; pid < 3000; pid += 1) {
    journal.add({ pid, startTicks: 7 });
    journal.remove({ pid, startTicks: 7 });
  }
  const lines = readFileSync(path.join(dataDir, JOURNAL), "latin1").split("\n");
  assert.ok(lines.length < 1100, `${lines.length} lines`);
  assert.deepEqual(new ChildJournal(dataDir).earlier.children, [{ pid: 1, startTicks: 7 }]);
});

test("a pid that really was given to another process is left alone", async (t) => {
  const probe = spawnSync("unshare", ["--pid", "--fork", "--mount-proc", "true"]);
  if (probe.status !== 0) return t.skip("unshare cannot make a pid namespace here");
  const dataDir = dataFolder(t);
  const namespace = spawnSync(
    "unshare",
    [
      "--pid",
      "--fork",
      "--mount-proc",
      "--kill-child",
      process.execPath,
      "--no-warnings",
      program("pid-reuse.ts"),
      dataDir,
    ],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.match(namespace.stdout, /^the pid was used again\n0 ended, alive\n$/, namespace.stderr);
  return undefined;
});
