import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { lockDataDir } from "../../src/store/lock.ts";
import { DATABASE_FILE, openStore } from "../../src/store/store.ts";
import { temporaryFolder } from "../helpers/store.ts";

type Program = ChildProcessByStdio<null, Readable, null>;

function start(t: TestContext, program: string, ...args: string[]): Program {
  const file = fileURLToPath(new URL(`programs/${program}.ts`, import.meta.url));
  const flags = ["--experimental-strip-types", "--no-warnings"];
  const child = spawn(process.execPath, [...flags, file, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

/** The lines that a writer acknowledged before it was killed after the given number of them. */
async function killAfter(child: Program, count: number): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === count) child.kill("SIGKILL");
  }
  return lines;
}

test("every acknowledged write survives kill -9", async (t) => {
  const file = path.join(temporaryFolder(t), DATABASE_FILE);
  const acknowledged: string[] = [];
  for (const [round, count] of [1, 7, 40, 150, 300].entries())
    acknowledged.push(...(await killAfter(start(t, "writer", file, String(round)), count)));
  assert.ok(acknowledged.length >= 498);

  const store = openStore(file);
  const kept = new Set(store.users.list().map(({ name }) => name));
  store.close();
  assert.deepEqual(
    acknowledged.filter((name) => !kept.has(name)),
    [],
  );
  const raw = new Database(file, { readonly: true });
  t.after(() => raw.close());
  assert.equal(raw.pragma("integrity_check", { simple: true }), "ok");
});

test("a data folder has one daemon, and is free again as soon as that one is killed", async (t) => {
  const dataDir = temporaryFolder(t);
  const holder = start(t, "holder", dataDir);
  await once(holder.stdout, "data");
  assert.throws(() => lockDataDir(dataDir), { code: "ALREADY_RUNNING", exit: 1 });
  holder.kill("SIGKILL");
  await once(holder, "exit");
  lockDataDir(dataDir).release();
});

test("a lock is held until it is released, also against the same process", (t) => {
  const dataDir = path.join(temporaryFolder(t), "data");
  const lock = lockDataDir(dataDir);
  assert.throws(() => lockDataDir(dataDir), { code: "ALREADY_RUNNING" });
  lock.release();
  lockDataDir(dataDir).release();
});
