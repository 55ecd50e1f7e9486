import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess, StdioOptions } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { until } from "../helpers/until.ts";

const PROGRAM = fileURLToPath(new URL("programs/logs-on.ts", import.meta.url));

interface Logging {
  child: ChildProcess;
  /** How many lines it has logged. */
  count: () => number;
  ended: Promise<unknown[]>;
}

function start(t: TestContext, stderr: "pipe" | number): Logging {
  const stdio: StdioOptions = ["ignore", "pipe", stderr];
  const child = spawn(process.execPath, ["--no-warnings", PROGRAM], { stdio });
  t.after(() => child.kill("SIGKILL"));
  let said = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => (said = text));
  return {
    child,
    count: () => Number(said.trim().split("\n").at(-1)),
    ended: once(child, "exit"),
  };
}

/** More than the pipe, the buffer and then some hold. */
const MANY = 4000;

test("a log that nobody reads does not hold the program up, and what was lost is counted", async (t) => {
  const { child, count, ended } = start(t, "pipe");
  await until(() => count() > MANY, "it goes on although its log is full", 20_000);
  let log = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (log += text));
  await until(() => log.includes("log lines were dropped"), "the loss is told", 20_000);
  await until(() => log.endsWith("\n") && log.length > 2_000_000, "the log goes on", 20_000);
  const lines = log.trimEnd().split("\n");
  for (const line of lines) JSON.parse(line);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

test("the program ends although nobody reads its log", async (t) => {
  const { child, count, ended } = start(t, "pipe");
  await until(() => count() > MANY, "its log is full", 20_000);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});

test("the last words before an end are in the log", async (t) => {
  const { child, count, ended } = start(t, "pipe");
  let log = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (log += text));
  await until(() => count() > 100, "it logs");
  child.kill("SIGTERM");
  await ended;
  await until(() => log.includes("the last words"), "the last words have come");
});

test("a full disk does not stop the program, and the log goes on when there is room", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "mcps-log-"));
  t.after(() => {
    spawnSync("umount", ["-l", folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]);
  if (mounted.status !== 0) return t.skip("a small file system cannot be mounted here");
  const file = join(folder, "log");
  const fd = openSync(file, "a");
  const { child, count, ended } = start(t, fd);
  closeSync(fd);
  await until(() => count() > MANY, "it goes on although the disk is full", 20_000);
  spawnSync("mount", ["-o", "remount,size=64m", folder]);
  const has = (text: string) => existsSync(file) && readFileSync(file, "utf8").includes(text);
  await until(() => has("log lines were dropped"), "the loss is told", 20_000);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
});
