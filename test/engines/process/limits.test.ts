import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { unkeptLimits } from "../../../src/engines/process/limits.ts";
import type { Limits } from "../../../src/engines/process/limits.ts";
import { until } from "../../helpers/until.ts";

const program = (name: string) => fileURLToPath(new URL(`programs/${name}`, import.meta.url));
const MIB = 2 ** 20;

async function start(t: TestContext, limits: Limits, argv: [string, ...string[]]) {
  const lines: string[] = [];
  const running = await startProcess(
    {
      argv,
      cwd: tmpdir(),
      env: { PATH: process.env["PATH"] ?? "" },
      confinement: { level: "none" },
      limits,
      stdout: "lines",
      eofGraceMs: 0,
      stopTimeoutMs: 1000,
    },
    (_, line) => lines.push(line),
  );
  t.after(() => running.kill());
  return { running, lines };
}

const hog = (kind: string, amount: number): [string, ...string[]] => [
  process.execPath,
  program("hog.mjs"),
  kind,
  String(amount),
];

test("a child over its memory is killed with all it started, and its end names the limit", async (t) => {
  const memoryBytes = 128 * MIB;
  const wrapped = ["sh", "-c", '"$@"; true', "sh", ...hog("memory", 600)] as [string, ...string[]];
  const { running, lines } = await start(t, { memoryBytes }, wrapped);
  const { limit } = await running.exited;
  assert.deepEqual(limit, { kind: "memory", bytes: memoryBytes });
  assert.deepEqual(lines, []);
  await running.kill();
  assert.equal(await running.rssBytes(), null);
});

test("a child within its memory goes on, and a kill that was not for the limit does not name it", async (t) => {
  const { running, lines } = await start(t, { memoryBytes: 192 * MIB }, hog("memory", 100));
  await until(() => lines.includes("done"), "it has what it wants");
  assert.equal((await running.kill()).limit, null);
});

test("fetch and worker threads work under a limit", async (t) => {
  const script = `
    const { Worker } = require("node:worker_threads");
    const server = require("node:http").createServer((_, response) => response.end("yes"));
    server.listen(0, "127.0.0.1", async () => {
      const answer = await fetch("http://127.0.0.1:" + server.address().port);
      const word = await answer.text();
      const worker = new Worker("require('node:worker_threads').parentPort.postMessage('worker')", { eval: true });
      worker.on("message", (from) => { console.log(word, from); process.exit(); });
    });`;
  const limits = { memoryBytes: 192 * MIB, pids: 64 };
  const { running, lines } = await start(t, limits, [process.execPath, "-e", script]);
  const { code, limit } = await running.exited;
  await running.drained;
  assert.deepEqual({ code, limit, lines }, { code: 0, limit: null, lines: ["yes worker"] });
});

test("pages that processes share are counted once", async (t) => {
  if (spawnSync("python3", ["--version"]).status !== 0) return t.skip("python3 is not installed");
  const { running, lines } = await start(t, { memoryBytes: 128 * MIB }, [
    "python3",
    program("forks-sharing.py"),
  ]);
  await until(() => lines.includes("done"), "it has forked");
  const ended = running.exited.then(() => "ended");
  // Four looks of the watch.
  const later = new Promise((resolve) => setTimeout(resolve, 1000, "lives"));
  assert.equal(await Promise.race([ended, later]), "lives");
  return undefined;
});

test("a program that ends for want of memory of its own is no victim of the limit", async (t) => {
  const script = "const a = []; for (;;) a.push(new Array(1e5).fill(1.5));";
  const argv = [process.execPath, "--max-old-space-size=40", "-e", script] as const;
  const far = await start(t, { memoryBytes: 4096 * MIB }, [...argv]);
  assert.equal((await far.running.exited).limit, null);
});

test("where nobody else counts its processes, a child over their number is killed, forks and all", async (t) => {
  const { running } = await start(t, { pids: 24 }, hog("fork", 40));
  assert.deepEqual((await running.exited).limit, { kind: "pids", count: 24 });
  await running.kill();
  assert.equal(await running.rssBytes(), null);
});

test("a child that uses more than its CPU is known, with since when and how much, and told of once", async (t) => {
  // All the time a third of a core, or what a busy machine leaves of it.
  const script =
    "setInterval(() => { for (const end = Date.now() + 33; Date.now() < end;); }, 100)";
  const begun = Date.now();
  const argv = ["sh", "-c", '"$@"; true', "sh", process.execPath, "-e", script] as const;
  const { running } = await start(t, { cpu: 0.1 }, [...argv]);
  assert.equal(running.cpuLoad(), null);
  const told: number[] = [];
  running.onBusy((load) => told.push(load.cores));
  const { since, cores, limit } = await until(() => running.cpuLoad(), "it is known", 60_000);
  assert.ok(since >= begun && since <= Date.now() - 10_000);
  assert.equal(limit, 0.1);
  assert.ok(cores > 0);
  const first = await until(() => told[0], "it is told");
  await until(() => running.cpuLoad()?.cores !== first, "it is looked at again");
  assert.equal(told.length, 1);
  await running.kill();
});

test("limits that nothing keeps are named by server", () => {
  const servers = [
    { name: "free", limits: {} },
    { name: "bound", limits: { memoryBytes: 1, pids: 1 } },
    { name: "slow", limits: { cpu: 1 } },
  ];
  assert.deepEqual(unkeptLimits(servers, new Set()), [{ server: "slow", limits: ["cpu"] }]);
  assert.deepEqual(unkeptLimits(servers, new Set(["memory", "pids", "cpu"] as const)), []);
});
