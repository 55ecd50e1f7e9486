import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { readProcessTable, treeOf } from "../../../src/engines/process/process-table.ts";
import type { RunSpec } from "../../../src/engines/process/run-spec.ts";
import { SupervisorError } from "../../../src/errors.ts";
import { isAlive } from "../../helpers/leaks.ts";
import { until } from "../../helpers/until.ts";

function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "tree-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function start(t: TestContext, argv: [string, ...string[]], more: Partial<RunSpec> = {}) {
  const lines: string[] = [];
  const spec: RunSpec = {
    argv,
    cwd: tmpdir(),
    env: { PATH: process.env["PATH"] ?? "" },
    confinement: { level: "none" },
    stdout: "lines",
    eofGraceMs: 50,
    stopTimeoutMs: 3000,
    ...more,
  };
  const running = await startProcess(spec, (_, line) => lines.push(line));
  t.after(() => running.kill());
  return { running, lines };
}

const ignoring = (signal: string, then: string) =>
  `process.on(${JSON.stringify(signal)}, () => console.log("ignored")); ${then}`;
const WAIT = "setInterval(() => {}, 60000);";

test("arguments reach the program as they are, unread by any shell", async (t) => {
  const odd = ["$HOME", "a b", "`id`", "'\"", "*", "; exit 9", "${port}", "%PATH%"];
  const print = "console.log(JSON.stringify(process.argv.slice(1)))";
  const { running, lines } = await start(t, [process.execPath, "-e", print, "--", ...odd]);
  assert.equal((await running.exited).code, 0);
  await running.drained;
  assert.deepEqual(JSON.parse(lines.join("")), odd);
});

test("the environment is the given one and nothing of the daemon's", async (t) => {
  process.env["DAEMON_SECRET"] = "not for children";
  t.after(() => delete process.env["DAEMON_SECRET"]);
  const print = "console.log(JSON.stringify(process.env))";
  const { running, lines } = await start(t, [process.execPath, "-e", print], { env: { A: "1" } });
  await running.drained;
  assert.deepEqual(JSON.parse(lines.join("")), { A: "1" });
});

test("a command with a slash is relative to the child's folder", async (t) => {
  const folder = makeFolder(t);
  writeFileSync(path.join(folder, "hello"), "#!/bin/sh\necho hello from $PWD\n");
  chmodSync(path.join(folder, "hello"), 0o700);
  const { running, lines } = await start(t, ["./hello"], { cwd: folder });
  await running.drained;
  assert.deepEqual(lines, [`hello from ${folder}`]);
});

test("the child leads a group and a session of its own", async (t) => {
  const { running } = await start(t, ["sleep", "60"]);
  const entry = (await readProcessTable()).find(({ pid }) => pid === running.pid);
  assert.equal(entry?.group, running.pid);
  assert.equal(entry?.session, running.pid);
});

test("a program that cannot be started is refused in plain words", async (t) => {
  const folder = makeFolder(t);
  writeFileSync(path.join(folder, "data"), "no program");
  const refusal = async (argv: [string, ...string[]], cwd = folder) => {
    try {
      await start(t, argv, { cwd });
    } catch (error) {
      assert.ok(error instanceof SupervisorError);
      assert.equal(error.code, "INSTANCE_SPAWN_FAILED");
      return error;
    }
    return assert.fail("it started");
  };
  const missing = await refusal(["no-such-program"]);
  assert.equal(missing.message, "could not be started: there is no such program");
  assert.deepEqual(missing.details, ["program: no-such-program"]);
  const data = await refusal(["./data"]);
  assert.equal(data.message, "could not be started: it may not be executed");
  const nowhere = await refusal(["sleep", "1"], path.join(folder, "nowhere"));
  assert.equal(nowhere.message, "could not be started: its folder does not exist");
});

test("a child that ends when its stdin closes is sent no signal", async (t) => {
  const { running } = await start(t, ["cat"], { eofGraceMs: 5000 });
  const { code, signal } = await running.stop();
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
});

test("a child that takes no notice of its stdin gets SIGTERM", async (t) => {
  const { running } = await start(t, ["sleep", "60"]);
  assert.equal((await running.stop()).signal, "SIGTERM");
});

test("a child that ignores SIGTERM is killed after the time it was given", async (t) => {
  const code = ignoring("SIGTERM", `${WAIT} console.log("up");`);
  const { running, lines } = await start(t, [process.execPath, "-e", code], { stopTimeoutMs: 300 });
  await until(() => lines.includes("up"), "the handler is in place");
  const before = performance.now();
  assert.equal((await running.stop()).signal, "SIGKILL");
  assert.ok(performance.now() - before >= 350, "it got its time");
  assert.ok(lines.includes("ignored"), "it was asked first");
});

test("stop ends the whole group, also a grandchild that ignores SIGTERM and one in its own session", async (t) => {
  const stubborn = ignoring("SIGTERM", `${WAIT} console.log("pid", process.pid);`);
  const code = `
    const { spawn } = require("node:child_process");
    const options = { stdio: ["ignore", "inherit", "inherit"] };
    spawn(process.execPath, ["-e", ${JSON.stringify(stubborn)}], options);
    const shell = spawn("sh", ["-c", "sleep 600; true"], options);
    const stray = spawn("sh", ["-c", "sleep 600; true"], { ...options, detached: true });
    console.log("pid", shell.pid);
    console.log("pid", stray.pid);
    ${WAIT}`;
  const { running, lines } = await start(t, [process.execPath, "-e", code], { stopTimeoutMs: 300 });
  const named = () =>
    lines.filter((line) => line.startsWith("pid ")).map((line) => Number(line.slice(4)));
  await until(() => named().length === 3, "all grandchildren are up");
  // The shells' own children too, which nobody names.
  const tree = treeOf(running.pid, await readProcessTable()).map(({ pid }) => pid);
  assert.ok(tree.length >= 6, `${tree.length} processes`);
  for (const pid of named()) assert.ok(tree.includes(pid));
  const { signal } = await running.stop();
  assert.equal(signal, "SIGTERM");
  assert.deepEqual(tree.filter(isAlive), []);
});

test("what outlives its dead leader is killed", async (t) => {
  const { running, lines } = await start(t, ["sh", "-c", "sleep 600 & echo $!; exit 4"]);
  assert.equal((await running.exited).code, 4);
  const pid = Number(await until(() => lines[0], "the grandchild is named"));
  assert.ok(isAlive(pid));
  await running.kill();
  assert.ok(!isAlive(pid));
});

test("a zombie that nobody reaps is not counted among the living, its child is", () => {
  const entry = (pid: number, ppid: number, isZombie: boolean) => ({
    pid,
    ppid,
    group: 10,
    session: 10,
    isZombie,
    isExiting: isZombie,
    threads: 1,
    ownTicks: 0,
    reapedTicks: 0,
    startTicks: pid,
  });
  const table = [entry(10, 1, true), entry(11, 10, false), entry(12, 1, true)];
  const other = { ...entry(20, 1, false), group: 20, session: 20 };
  const stray = { ...entry(21, 11, false), group: 21, session: 21 };
  const pids = treeOf(10, [...table, other, stray]).map(({ pid }) => pid);
  assert.deepEqual(pids, [11, 21]);
});

test("a member seen before is known again, a new process with its number is not", () => {
  const entry = (pid: number, startTicks: number) => ({
    pid,
    ppid: 1,
    group: pid,
    session: pid,
    isZombie: false,
    isExiting: false,
    threads: 1,
    ownTicks: 0,
    reapedTicks: 0,
    startTicks,
  });
  const seen = new Map([
    [30, 300],
    [31, 310],
  ]);
  const pids = treeOf(10, [entry(30, 300), entry(31, 999)], seen).map(({ pid }) => pid);
  assert.deepEqual(pids, [30]);
});

test("a second stop waits for the first, and kill cuts it short", async (t) => {
  const code = ignoring("SIGTERM", `${WAIT} console.log("up");`);
  const { running, lines } = await start(t, [process.execPath, "-e", code], {
    stopTimeoutMs: 60_000,
  });
  await until(() => lines.includes("up"), "the handler is in place");
  const [first, second] = [running.stop(), running.stop()];
  await until(() => lines.includes("ignored"), "SIGTERM was sent");
  assert.equal((await running.kill()).signal, "SIGKILL");
  assert.equal(await first, await second);
});

test("a name with brackets and blanks does not hide a process", async (t) => {
  const folder = makeFolder(t);
  const file = path.join(folder, ") Z 1 (x");
  copyFileSync("/bin/sleep", file);
  const { running } = await start(t, [file, "60"]);
  const table = await readProcessTable();
  const [entry] = treeOf(running.pid, table);
  assert.equal(entry?.pid, running.pid);
  assert.equal(table.find(({ pid }) => pid === entry.ppid)?.ppid, process.pid);
});

test("memory counts the whole tree, and is null when it is gone", async (t) => {
  const hold = "globalThis.block = Buffer.alloc(30e6, 1); console.log('up');";
  const { running, lines } = await start(t, [
    "sh",
    "-c",
    `"$0" -e "${hold} ${WAIT}"; true`,
    process.execPath,
  ]);
  await until(() => lines.includes("up"), "the grandchild holds its block");
  const bytes = await running.rssBytes();
  assert.ok(bytes !== null && bytes > 60e6, `${bytes} bytes`);
  await running.stop();
  assert.equal(await running.rssBytes(), null);
});
