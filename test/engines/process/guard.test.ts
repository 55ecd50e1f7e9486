import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Confinement, Level } from "../../../src/engines/process/confinement.ts";
import { findTool } from "../../../src/engines/process/programs.ts";
import { guarded } from "../../../src/engines/process/guard.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import type { RunSpec } from "../../../src/engines/process/run-spec.ts";
import { noSandbox, notRoot } from "../../helpers/isolation.ts";
import { isAlive } from "../../helpers/leaks.ts";
import { temporaryFolder } from "../../helpers/store.ts";
import { until } from "../../helpers/until.ts";

const hasSetpriv = findTool("setpriv") !== undefined;
const skip = hasSetpriv ? false : "setpriv is not installed";

const specOf = (
  argv: [string, ...string[]],
  confinement: Confinement = { level: "none" },
): RunSpec => ({
  argv,
  cwd: tmpdir(),
  env: { PATH: process.env["PATH"] ?? "" },
  confinement,
  stdout: "lines",
  eofGraceMs: 50,
  stopTimeoutMs: 1000,
});

const ACCOUNT = 61_152;
const isRoot = process.getuid!() === 0;

function sandboxIn(folder: string): Confinement {
  const [home, socketDir] = [path.join(folder, "home"), path.join(folder, "run")];
  for (const each of [home, socketDir]) mkdirSync(each);
  const none = { reach: [], hidden: [], shared: [], paths: { read: [], write: [] } };
  const uid = isRoot ? ACCOUNT : null;
  return { level: "sandbox", uid, home, socketDir, network: "none", port: null, ...none };
}

/** What the kernel says of a child, as the child reads it. */
async function outputOf(
  t: TestContext,
  argv: [string, ...string[]],
  level: Level,
): Promise<string> {
  const confinement: Record<Level, () => Confinement> = {
    none: () => ({ level: "none" }),
    user: () => ({ level: "user", uid: ACCOUNT }),
    sandbox: () => sandboxIn(temporaryFolder(t)),
  };
  const lines: string[] = [];
  const spec = specOf(argv, confinement[level]());
  const running = await startProcess(spec, (_, line) => lines.push(line));
  t.after(() => running.kill());
  await running.drained;
  return lines.join("\n");
}

const LEVELS: [Level, string | false][] = [
  ["none", false],
  ["user", notRoot],
  ["sandbox", noSandbox],
];

for (const [level, why] of LEVELS) {
  test(
    `at level ${level} a child has no capability to hand on and can gain none`,
    { skip: skip || why },
    async (t) => {
      const status = await outputOf(t, ["cat", "/proc/self/status"], level);
      const sets = ["CapInh", "CapAmb"];
      // As root at level none the child is root itself, with all that root may.
      if (level !== "none" || !isRoot) sets.push("CapPrm", "CapEff");
      for (const set of sets) assert.match(status, new RegExp(`^${set}:\\s+0+$`, "m"), set);
      assert.match(status, /^NoNewPrivs:\s+1$/m);
    },
  );

  test(
    `at level ${level} a child writes no core file and may open a bounded number of files`,
    { skip: why },
    async (t) => {
      const limits = await outputOf(t, ["cat", "/proc/self/limits"], level);
      assert.match(limits, /^Max core file size +0 +0 /m);
      const [, files] = /^Max open files +\d+ +(\d+)/m.exec(limits) ?? [];
      assert.ok(Number(files) > 0 && Number(files) <= 4096, `${files} open files`);
    },
  );
}

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
