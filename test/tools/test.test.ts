import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isAlive } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Without what tells a test file that a runner listens to it. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return env;
}

test("npm test that is told to end takes along all that its tests have started", async (t) => {
  const npm = spawn("npm", ["test", "--", "test/fixtures/never-ends.ts"], {
    cwd: ROOT,
    env: environment(),
    stdio: ["ignore", "pipe", "ignore"],
  });
  t.after(() => npm.kill("SIGKILL"));
  let said = "";
  npm.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [, pids] = await until(() => /^processes: (.*)$/m.exec(said), "its child is up", 60_000);
  const started = pids!.split(" ").map(Number);
  assert.deepEqual(started.filter(isAlive), started);
  npm.kill("SIGTERM");
  await once(npm, "close");
  assert.deepEqual(started.filter(isAlive), []);
});

test("a unit test cannot start a process", () => {
  const program = `
    import { spawn } from "node:child_process";
    import { refuseProcesses } from "./tools/no-processes.mjs";
    refuseProcesses();
    spawn("true");
  `;
  const { status, stderr } = spawnSync(
    process.execPath,
    ["--input-type=module", "--eval", program],
    { cwd: ROOT, env: environment(), encoding: "utf8" },
  );
  assert.notEqual(status, 0);
  assert.match(stderr, /a unit test starts no process/);
});
