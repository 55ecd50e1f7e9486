import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { closeForkServer, forkServer } from "../../../src/engines/process/forks.ts";
import type { Forked } from "../../../src/engines/process/forks.ts";
import { startProcess } from "../../../src/engines/process/start-process.ts";
import { findTool } from "../../../src/engines/process/programs.ts";
import { openEntrance, socketName } from "../../../src/engines/process/sockets.ts";
import { isAlive } from "../../helpers/leaks.ts";
import { until } from "../../helpers/until.ts";

const ENV = { PATH: process.env["PATH"] ?? "" };

async function start(argv: [string, ...string[]]): Promise<Forked> {
  const server = await forkServer();
  return await server.fork({ argv, cwd: tmpdir(), env: ENV, stdio: ["pipe", "pipe", "pipe"] });
}

async function textOf({ pipes }: Forked, fd: number): Promise<string> {
  const pipe = pipes[fd]!;
  let text = "";
  pipe.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  if (!pipe.closed) await once(pipe, "close");
  return text;
}

function end(t: TestContext, { pid, exited, pipes }: Forked): void {
  t.after(async () => {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
    await exited;
    for (const pipe of pipes) pipe?.destroy();
  });
}

test("all that a child says before anybody listens is there, also when it has ended", async () => {
  const child = await start(["sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo end >&2"]);
  // More than a pipe holds: it waits for a reader.
  assert.equal((await textOf(child, 1)).length, 100_000);
  assert.deepEqual(await child.exited.then(({ code }) => code), 0);
  assert.equal(await textOf(child, 2), "end\n");
});

test("what goes into a child's stdin comes out of it, until it is closed", async () => {
  const child = await start(["cat"]);
  child.pipes[0]!.end("one\ntwo\n");
  assert.equal(await textOf(child, 1), "one\ntwo\n");
  assert.equal((await child.exited).code, 0);
});

test("children that start at once are told apart", async () => {
  const children = await Promise.all(
    Array.from({ length: 20 }, (_, at) => start(["sh", "-c", `echo ${at}; exit ${at}`])),
  );
  const said = await Promise.all(children.map((child) => textOf(child, 1)));
  assert.deepEqual(
    said.map((text) => text.trim()),
    children.map((_, at) => String(at)),
  );
  const codes = await Promise.all(children.map(({ exited }) => exited));
  assert.deepEqual(
    codes.map(({ code }) => code),
    children.map((_, at) => at),
  );
});

test("a program that the system refuses is refused with the system's reason", async () => {
  await assert.rejects(start(["/nowhere/at/all"]), { code: "ENOENT" });
  await assert.rejects(start([tmpdir()]), { code: "EACCES" });
});

test("a child whose listening socket gets lost on the way is refused, and the next one starts", async (t) => {
  const server = await forkServer();
  const folder = mkdtempSync(path.join(tmpdir(), "mcps-forks-"));
  const entrance = await openEntrance(socketName(folder));
  t.after(() => {
    entrance.handOver();
    rmSync(folder, { recursive: true });
  });
  const listening = { argv: ["sh", "-c", "echo started"], cwd: tmpdir(), env: ENV } as const;
  const fork = async () =>
    await server.fork({
      ...listening,
      stdio: ["ignore", "pipe", "ignore", "entrance"],
      entrance: entrance.handle,
    });
  // By the time it tells of this one's end, it has closed what it had of earlier children.
  const stdio = ["ignore", "ignore", "ignore"] as const;
  const last = await server.fork({ argv: ["true"], cwd: tmpdir(), env: ENV, stdio });
  await last.exited;
  const taken = new Set(readdirSync(`/proc/${server.pid}/fd`).map(Number));
  // Not their count: there is a gap below the highest, and the socket would get through it.
  let free = 0;
  while (taken.has(free)) free++;
  const allow = (files: number) =>
    execFileSync("prlimit", ["--pid", String(server.pid), `--nofile=${files}:4096`]);
  allow(free);
  t.after(() => allow(4096));
  await assert.rejects(fork(), { code: "EMFILE" });
  allow(4096);
  assert.equal(await textOf(await fork(), 1), "started\n");
});

test("the process that starts children has nothing of the daemon's environment", async () => {
  const { pid } = await forkServer();
  const names = readFileSync(`/proc/${pid}/environ`, "latin1")
    .split("\0")
    .map((pair) => pair.split("=")[0]);
  assert.deepEqual(
    new Set(names.filter(Boolean)),
    new Set(["NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"]),
  );
});

test("when the process that starts children ends, theirs is told, and the next child has another", async (t) => {
  const child = await start(["sleep", "60"]);
  end(t, child);
  const before = (await forkServer()).pid;
  process.kill(before, "SIGKILL");
  assert.deepEqual(await child.exited, { code: null, signal: "SIGKILL" });
  const next = await start(["true"]);
  assert.equal((await next.exited).code, 0);
  assert.notEqual((await forkServer()).pid, before);
});

test(
  "children end with the process that started them",
  { skip: findTool("setpriv") === undefined ? "setpriv is not installed" : false },
  async () => {
    const spec = {
      argv: ["sleep", "60"] as const,
      cwd: tmpdir(),
      env: ENV,
      confinement: { level: "none" } as const,
      stdout: "lines" as const,
      eofGraceMs: 50,
      stopTimeoutMs: 1000,
    };
    const running = await startProcess(spec, () => {});
    process.kill((await forkServer()).pid, "SIGKILL");
    assert.equal((await running.exited).signal, "SIGKILL");
    await until(() => !isAlive(running.pid), "the child is gone");
    await running.kill();
  },
);

test("it is started once, a terminal's signals do not end it, and it is gone once it was closed", async () => {
  await closeForkServer();
  const [first, second] = await Promise.all([forkServer(), forkServer()]);
  assert.equal(first.pid, second.pid);
  // It has to be up before it can disregard anything.
  await (
    await start(["true"])
  ).exited;
  process.kill(first.pid, "SIGINT");
  process.kill(first.pid, "SIGTERM");
  assert.equal((await (await start(["true"])).exited).code, 0);
  assert.equal((await forkServer()).pid, first.pid);
  await closeForkServer();
  assert.ok(!isAlive(first.pid));
});
