import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { atEnd, daemonFolder, startDaemon } from "../helpers/daemon.ts";
import type { DaemonOptions, TestDaemon } from "../helpers/daemon.ts";
import { bearer, fixture, initialize, json } from "../helpers/fixtures.ts";
import { isInstalled } from "../helpers/installed.ts";
import { until } from "../helpers/until.ts";

const STDIO = fileURLToPath(new URL("../../bench/echo-stdio.mjs", import.meta.url));
const SERVERS = {
  pipes: { type: "stdio", command: process.execPath, args: [STDIO] },
  port: fixture("http", "echo-sse"),
};
/** How soon all must work again when there is enough again. */
const RECOVERY_MS = 5_000;

interface Answer {
  status: number;
  retryAfter: string | undefined;
  body: string;
}

interface Rig {
  daemon: TestDaemon;
  /** Says hello to a server over the one connection that is kept open. */
  hello: (server: string) => Promise<Answer>;
}

async function startForHello(t: TestContext, options: DaemonOptions): Promise<Rig> {
  const daemon = await startDaemon(t, {
    ...options,
    config: { servers: SERVERS, defaultServer: "pipes" },
  });
  const { key } = await daemon.addUser("alice");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const hello = async (server: string): Promise<Answer> => {
    const all = [...bearer(key.secret), ...json];
    const headers = Object.fromEntries(
      Array.from({ length: all.length / 2 }, (_, i) => [all[2 * i]!, all[2 * i + 1]!]),
    );
    const path = `/u/alice/${server}/mcp`;
    const where = { host: "127.0.0.1", port: daemon.port, path };
    const req = request({ ...where, method: "POST", agent, headers });
    req.end(initialize());
    const [res] = (await once(req, "response")) as [IncomingMessage];
    const retryAfter = res.headers["retry-after"];
    return { status: res.statusCode!, retryAfter, body: await text(res) };
  };
  return { daemon, hello };
}

/** Every start is refused as a shortage while there is one, and works soon after; the daemon is the same. */
async function assertRefusedFor(rig: Rig, why: RegExp, relieve: () => unknown): Promise<void> {
  for (const server of Object.keys(SERVERS)) {
    const { status, retryAfter, body } = await rig.hello(server);
    assert.equal(status, 503, body);
    assert.match(body, /"type":"RESOURCES_EXHAUSTED"/);
    assert.match(body, why);
    assert.ok(Number(retryAfter) > 0);
  }
  relieve();
  for (const server of Object.keys(SERVERS))
    await until(
      async () => (await rig.hello(server)).status === 200,
      `${server} is started again`,
      RECOVERY_MS,
    );
  assert.doesNotMatch(rig.daemon.log(), /"level":"fatal"/);
  assert.equal((await rig.daemon.cli(["status"])).json<{ pid: number }>().pid, rig.daemon.pid);
}

/** `become`: as whom; root may not always change the limits of others. */
function setLimit(pid: number, limit: string, become: readonly string[] = []): void {
  const argv = [...become, "prlimit", "--pid", String(pid), limit];
  const done = spawnSync(argv[0]!, argv.slice(1), { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
}

test("no file descriptor left: starts are refused with the reason, and work again when there are some", async (t) => {
  if (!isInstalled("prlimit")) return t.skip("prlimit is not installed");
  const rig = await startForHello(t, {});
  assert.equal((await rig.hello("nowhere")).status, 404, "the connection is open");
  const open = new Set(readdirSync(`/proc/${rig.daemon.pid}/fd`).map(Number));
  let free = 0;
  while (open.has(free)) free += 1;
  // The lowest number that is free is what the next file would get.
  setLimit(rig.daemon.pid, `--nofile=${free}:`);
  await assertRefusedFor(rig, /the daemon has no file descriptor left/, () =>
    setLimit(rig.daemon.pid, "--nofile=1024:"),
  );
  return undefined;
});

/** An account that nobody has, and that has no process but the daemon's. */
const UID = 60_996;
const BECOME = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];

test("no process left: starts are refused with the reason, and work again when there are some", async (t) => {
  if (!isInstalled("prlimit") || !isInstalled("setpriv"))
    return t.skip("util-linux is not installed");
  if (process.getuid?.() !== 0) return t.skip("only root can take an account without processes");
  if (spawnSync(BECOME[0]!, [...BECOME.slice(1), process.execPath, "--check", STDIO]).status !== 0)
    return t.skip("another account cannot read this checkout");
  const dir = daemonFolder(t);
  chownSync(dir, UID, UID);
  const rig = await startForHello(t, { dir, through: BECOME });
  setLimit(rig.daemon.pid, "--nproc=1:", BECOME);
  await assertRefusedFor(rig, /the system allows no more processes/, () =>
    setLimit(rig.daemon.pid, "--nproc=1000:", BECOME),
  );
  return undefined;
});

test("a full disk: what must be written is refused with the reason, the rest goes on, and room is all it takes", async (t) => {
  const dir = daemonFolder(t);
  const data = join(dir, "data");
  mkdirSync(data, { mode: 0o700 });
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m,mode=700", "none", data]).status !== 0)
    return t.skip("no file system can be mounted here");
  atEnd(t, () => spawnSync("umount", ["--lazy", data]));
  const rig = await startForHello(t, { dir });
  const { daemon, hello } = rig;
  assert.equal((await hello("pipes")).status, 200);
  fill(join(data, "homes", "ballast"));

  const refused = await daemon.cli(["user", "add", "bob", "--token-stdin"], {
    input: "x".repeat(20_000),
  });
  assert.equal(refused.code, 1);
  const { code, type, message } = refused.error();
  assert.deepEqual([code, type], [507, "DISK_FULL"]);
  assert.match(message, /the disk is full/);
  assert.equal((await hello("pipes")).status, 200, "who is there is served");
  assert.equal((await daemon.cli(["user", "show", "bob"])).error().type, "USER_NOT_FOUND");

  rmSync(join(data, "homes", "ballast"));
  await until(
    async () => (await daemon.cli(["user", "add", "bob"])).code === 0,
    "writes work again",
    RECOVERY_MS,
  );
  assert.equal((await hello("port")).status, 200);
  assert.doesNotMatch(daemon.log(), /"level":"fatal"/);
  return undefined;
});

/** Takes all the room there is, to the last byte. */
function fill(file: string): void {
  const fd = openSync(file, "w");
  try {
    for (const size of [65_536, 4_096, 1])
      try {
        for (;;) writeSync(fd, Buffer.alloc(size));
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
      }
  } finally {
    closeSync(fd);
  }
}
