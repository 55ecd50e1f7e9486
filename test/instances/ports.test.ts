import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { Ports } from "../../src/engines/process/ports.ts";
import { isAlive } from "../helpers/leaks.ts";
import { fixture, openSupervisor, ref, targetOf } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

const ALICE = ref("alice", "echo");

async function squat(t: TestContext, port = 0): Promise<{ port: number; received: Buffer[] }> {
  const received: Buffer[] = [];
  const server = createServer((socket) => socket.on("data", (bytes) => received.push(bytes)));
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, received };
}

/** A file where port-thief notes whom it left behind; they are ended after the test. */
function thiefFile(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), "thief-"));
  const file = path.join(folder, "pids");
  t.after(async () => {
    const pids = thieves(file);
    for (const pid of pids) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    await until(() => !pids.some(isAlive), "the thieves are gone");
    rmSync(folder, { recursive: true });
  });
  return file;
}

const thieves = (file: string): number[] =>
  existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];

function openWithThief(t: TestContext, args: string[]) {
  // First, because what is to be done after a test is done in this order: the check that none of the
  // supervisor's processes lives would find the thieves.
  const file = thiefFile(t);
  const servers = { thief: fixture("port-thief", [...args, "--thief-file", file]) };
  return { ...openSupervisor(t, servers), file };
}

test("a foreign listener on the port never receives a byte, and after five more ports the start fails", async (t) => {
  const { supervisor, file } = openWithThief(t, []);
  await assert.rejects(supervisor.ensure(ref("alice", "thief")), {
    code: "INSTANCE_EXITED",
    message:
      /^alice\/thief: the child exited with code 1 before it was ready, and another process holds port \d+$/,
  });
  assert.equal(thieves(file).length, 6);
  assert.ok(thieves(file).every(isAlive));
  assert.ok(!existsSync(`${file}.bytes`));
});

test("a child whose port was stolen gets another one, and that counts as no failure", async (t) => {
  const { supervisor, file, config } = openWithThief(t, ["--once", "yes"]);
  const live = await supervisor.ensure(ref("alice", "thief"));
  assert.equal(thieves(file).length, 1);
  assert.equal(Number(targetOf(live).url.port), config.ports.from + 1);
  assert.ok(!existsSync(`${file}.bytes`));
  const [row] = supervisor.list();
  assert.deepEqual([row?.generation, row?.restarts], [1, 0]);
});

test("a child that does not listen while somebody else holds its port is never taken for ready", async (t) => {
  const { supervisor } = openSupervisor(t, {
    never: fixture("never-ready", [], { startTimeout: "1s" }),
  });
  const start = assert.rejects(supervisor.ensure(ref("alice", "never")), {
    code: "INSTANCE_START_TIMEOUT",
    message: /another process listens on port \d+$/,
  });
  const port = await until(() => supervisor.list()[0]?.port, "the child has its port");
  const { received } = await squat(t, port);
  await start;
  assert.deepEqual(received, []);
});

test("a pinned port is the child's, and a refusal names who holds it", async (t) => {
  const { port } = await squat(t);
  const taken = { from: 32_100, to: 32_109, pin: { "alice/echo": port } };
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") }, { ports: taken });
  await assert.rejects(supervisor.ensure(ALICE), {
    code: "INSTANCE_SPAWN_FAILED",
    message: new RegExp(`^alice/echo: its pinned port ${port} is held by pid ${process.pid} `),
  });

  const free = { from: 32_110, to: 32_119, pin: { "alice/echo": 32_115 } };
  const other = openSupervisor(t, { echo: fixture("echo-sse") }, { ports: free });
  for (let generation = 1; generation <= 2; generation++) {
    const live = await other.supervisor.ensure(ALICE);
    assert.equal(Number(targetOf(live).url.port), 32_115);
    await other.supervisor.stop(ALICE, "stopped by an admin");
  }
  // Nor is there a second child beside the first: one follows the other.
  const before = await other.supervisor.ensure(ALICE);
  await other.supervisor.handOver(ALICE, "restarted by an admin");
  assert.equal((await before.exited).reason, "was restarted by an admin");
  const next = await other.supervisor.ensure(ALICE);
  assert.deepEqual([next.generation, Number(targetOf(next).url.port)], [4, 32_115]);
});

test("a port is not given out again soon after its child's end, unless there is no other", async () => {
  const ports = new Ports({ from: 32_200, to: 32_202, pin: { "bob/echo": 32_201 } });
  const first = await ports.take(ALICE);
  ports.release(first);
  const second = await ports.take(ALICE);
  assert.deepEqual([first, second], [32_200, 32_202]);
  const third = await ports.take(ALICE);
  assert.equal(third, 32_200);
  await assert.rejects(ports.take(ALICE), (error: unknown) => {
    assert.ok(error instanceof SupervisorError);
    assert.equal(error.message, "alice/echo: no port from 32200 to 32202 is free");
    return true;
  });
  assert.equal(await ports.take(ref("bob", "echo")), 32_201);
});

test("starts of the same moment get different ports, and none that another program holds", async (t) => {
  // Below what the system gives to clients: no other program takes a neighbour.
  const { port } = await squat(t, 32_305);
  const from = port - 5;
  const ports = new Ports({ from, to: port + 5, pin: {} });
  const taken = await Promise.all(Array.from({ length: 8 }, () => ports.take(ALICE)));
  assert.equal(new Set(taken).size, 8);
  assert.ok(!taken.includes(port));
  assert.ok(taken.every((at) => at >= from && at <= port + 5));
});
