import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findTool } from "../../src/runners/programs.ts";
import { guarded } from "../../src/runners/guard.ts";
import { startProcess } from "../../src/runners/process-runner.ts";
import type { RunSpec } from "../../src/runners/runner.ts";
import { isAlive } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";

const hasSetpriv = findTool("setpriv") !== undefined;
const skip = hasSetpriv ? false : "setpriv is not installed";

const specOf = (argv: [string, ...string[]]): RunSpec => ({
  argv,
  cwd: tmpdir(),
  env: { PATH: process.env["PATH"] ?? "" },
  confinement: { level: "none" },
  stdout: "lines",
  eofGraceMs: 50,
  stopTimeoutMs: 1000,
});

async function outputOf(t: TestContext, argv: [string, ...string[]]): Promise<string> {
  const lines: string[] = [];
  const running = await startProcess(specOf(argv), (_, line) => lines.push(line));
  t.after(() => running.kill());
  await running.drained;
  return lines.join("\n");
}

test("a child has no capability to hand on and can gain none", { skip }, async (t) => {
  const status = await outputOf(t, ["cat", "/proc/self/status"]);
  assert.match(status, /^NoNewPrivs:\s+1$/m);
  assert.match(status, /^CapInh:\s+0+$/m);
  assert.match(status, /^CapAmb:\s+0+$/m);
});

test("a child writes no core file and may open a bounded number of files", async (t) => {
  const limits = await outputOf(t, ["cat", "/proc/self/limits"]);
  assert.match(limits, /^Max core file size +0 +0 /m);
  const [, files] = /^Max open files +\d+ +(\d+)/m.exec(limits) ?? [];
  assert.ok(Number(files) <= 4096, `${files} open files`);
});

test("a child dies with a daemon that is killed, and all of its group", async (t) => {
  const program = path.join(import.meta.dirname, "programs/starts-child.ts");
  const spec = JSON.stringify(specOf(["sh", "-c", "sleep 60 & echo beside $!; wait"]));
  const daemon = spawn(process.execPath, ["--no-warnings", program, spec], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => daemon.kill("SIGKILL"));
  let output = "";
  daemon.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  const numberAfter = (word: string) =>
    until(() => Number(new RegExp(`^${word} (\\d+)$`, "m").exec(output)?.[1] ?? 0), word, 20_000);
  const pids = [await numberAfter("started"), await numberAfter("beside")];
  assert.ok(pids.every(isAlive));
  daemon.kill("SIGKILL");
  await until(() => !pids.some(isAlive), "the child and what it started are gone");
});

test("a child whose daemon died before it could hear of it does not run", { skip }, async () => {
  const [file, ...args] = guarded(["echo", "it runs"], { env: {}, parent: process.pid });
  // Started by a shell in between, so that its parent is not the one it is told of.
  const child = spawn("sh", ["-c", '"$@"; echo "code $?"', "sh", file, ...args]);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  await new Promise((resolve) => child.once("close", resolve));
  assert.equal(output, "code 125\n");
});
