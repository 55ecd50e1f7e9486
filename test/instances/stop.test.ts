import assert from "node:assert/strict";
import { test } from "node:test";
import { isAlive, processesMarked } from "../helpers/leaks.ts";
import { callTool, fixture, openSupervisor, ref } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

const ALICE = ref("alice", "echo");

test("a crash is told, and the next call starts another generation", async (t) => {
  const { supervisor } = openSupervisor(t, { crash: fixture("crash-later") });
  const crash = ref("alice", "crash");
  const first = await supervisor.ensure(crash);
  await callTool(first, "crash").catch(() => {});
  const ended = await first.exited;
  assert.equal(ended.reason, "exited with code 1");
  assert.equal(ended.exit?.code, 1);
  assert.equal(supervisor.instance(crash).live, undefined);
  const second = await supervisor.ensure(crash);
  assert.equal(second.generation, 2);
  assert.notEqual(second.pid, first.pid);
  assert.equal(supervisor.list()[0]?.restarts, 1);
});

test("a kill from outside is told with its signal", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const { pid, exited } = await supervisor.ensure(ALICE);
  process.kill(pid!, "SIGKILL");
  assert.equal((await exited).reason, "was killed by SIGKILL");
  await until(() => supervisor.counts()["backing-off"] === 1, "nothing of it is left");
  assert.equal(supervisor.list()[0]?.reason, "was killed by SIGKILL");
});

test("what a crashed child leaves behind in its group is gone before the next generation starts", async (t) => {
  const { supervisor } = openSupervisor(t, { fork: fixture("forks-grandchild") });
  const fork = ref("alice", "fork");
  const live = await supervisor.ensure(fork);
  const grandchildren = supervisor.logs(fork).map(({ text }) => Number(text.split(" ")[1]));
  assert.equal(grandchildren.length, 3);
  process.kill(live.pid!, "SIGKILL");
  await live.exited;
  await supervisor.ensure(fork);
  assert.deepEqual(grandchildren.slice(0, 2).filter(isAlive), []);
  // The third is in a session of its own: it is known, and gone too, only if the watch over the
  // children's CPU came by while its parent lived.
  const stray = grandchildren[2]!;
  if (isAlive(stray)) process.kill(stray, "SIGKILL");
});

test("stop ends the whole group, also a grandchild that ignores SIGTERM and one in its own session", async (t) => {
  const settings = { stopTimeout: "300ms" };
  const servers = { fork: fixture("forks-grandchild"), stubborn: fixture("ignores-sigterm") };
  const { supervisor, dataDir } = openSupervisor(t, servers, settings);
  const names = ["fork", "stubborn"];
  const lives = await Promise.all(names.map((name) => supervisor.ensure(ref("alice", name))));
  assert.ok(processesMarked(`HOME=${dataDir}/`).length >= 6);
  await supervisor.stop({ user: "alice" }, "stopped by an admin");
  assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
  for (const { exited } of lives) assert.equal((await exited).reason, "was stopped by an admin");
});

test("a child that is being stopped is not handed out, and the next call waits for its end", async (t) => {
  const { supervisor } = openSupervisor(
    t,
    { stubborn: fixture("ignores-sigterm") },
    { stopTimeout: "300ms" },
  );
  const stubborn = ref("alice", "stubborn");
  const first = await supervisor.ensure(stubborn);
  const stop = supervisor.stop(stubborn, "stopped by an admin");
  assert.equal(supervisor.instance(stubborn).live, undefined);
  assert.equal(supervisor.list()[0]?.state, "draining");
  assert.equal(supervisor.list()[0]?.pid, first.pid);
  const next = supervisor.ensure(stubborn);
  assert.equal(supervisor.ensure(stubborn), next);
  const second = await next;
  assert.ok(!isAlive(first.pid!));
  assert.equal(second.generation, 2);
  await stop;
  assert.equal(supervisor.instance(stubborn).live, second);
  assert.equal(supervisor.list()[0]?.restarts, 0);
});

test("a stop ends a start that is under way, and tells its callers", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { never: fixture("never-ready") });
  const never = ref("alice", "never");
  const callers = Promise.allSettled([supervisor.ensure(never), supervisor.ensure(never)]);
  await until(() => supervisor.list()[0]?.pid, "the child is started");
  await supervisor.stop(never, "stopped by an admin");
  assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
  for (const outcome of await callers) {
    assert.equal(outcome.status, "rejected");
    assert.equal(outcome.reason.code, "INSTANCE_EXITED");
    assert.match(outcome.reason.message, /^alice\/never: .*: stopped by an admin$/);
  }
});

test("a stop at any moment of a start leaves nothing, and the next call starts anew", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  for (const waitMs of [0, 1, 5, 20, 60, 120, 200]) {
    const start = supervisor.ensure(ALICE);
    start.catch(() => {});
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    await supervisor.stop(ALICE, "stopped by an admin");
    assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
    assert.equal(supervisor.list()[0]?.state, "stopped");
  }
  await supervisor.ensure(ALICE);
});

test("a start that waits for its turn can be stopped without ever running", async (t) => {
  const servers = { never: fixture("never-ready"), echo: fixture("echo-sse") };
  const { supervisor } = openSupervisor(t, servers, { limits: { spawnConcurrency: 1 } });
  supervisor.ensure(ref("alice", "never")).catch(() => {});
  await until(() => supervisor.list()[0]?.pid, "the first has its turn");
  const waiting = supervisor.ensure(ref("bob", "echo"));
  const settled = assert.rejects(waiting, { code: "INSTANCE_EXITED" });
  await until(() => supervisor.list({ user: "bob" })[0]?.state === "starting", "bob waits");
  assert.equal(supervisor.list({ user: "bob" })[0]?.pid, null);
  await supervisor.stop({ user: "bob" }, "stopped by an admin");
  await settled;
  await supervisor.stop({ user: "alice" }, "stopped by an admin");
  await supervisor.ensure(ref("bob", "echo"));
});

test("a restart during a start serves the same callers, with the token of now", async (t) => {
  const { supervisor, tokens } = openSupervisor(t, {
    slow: fixture("slow-start", ["--after", "300"]),
  });
  const slow = ref("alice", "slow");
  tokens.set("alice/slow", "old");
  const start = supervisor.ensure(slow);
  await until(() => supervisor.list()[0]?.pid, "the child is started");
  tokens.set("alice/slow", "new");
  await supervisor.restart({ user: "alice" }, "token changed");
  const live = await start;
  const env = JSON.parse(await callTool(live, "env")) as Record<string, string>;
  assert.equal(env["USER_ACCESS_TOKEN"], "new");
  assert.equal(live.generation, 2);
});

test("a stop wins over a restart that came before it", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, {
    slow: fixture("slow-start", ["--after", "300"]),
  });
  const slow = ref("alice", "slow");
  const settled = assert.rejects(supervisor.ensure(slow), { code: "INSTANCE_EXITED" });
  await until(() => supervisor.list()[0]?.pid, "the child is started");
  await supervisor.restart(slow, "token changed");
  await supervisor.stop(slow, "stopped by an admin");
  await settled;
  assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
});

test("a restart replaces what runs and starts nothing that is down", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const first = await supervisor.ensure(ALICE);
  supervisor.instance(ref("bob", "echo"));
  await supervisor.restart({}, "token changed");
  assert.equal((await first.exited).reason, "token changed");
  assert.equal((await supervisor.ensure(ALICE)).generation, 2);
  assert.equal(supervisor.list({ user: "bob" })[0]?.state, "stopped");
});

test("after stopAll nothing runs and nothing starts, not even what was starting", async (t) => {
  const servers = { echo: fixture("echo-sse"), never: fixture("never-ready") };
  const { supervisor, dataDir } = openSupervisor(t, servers);
  await supervisor.ensure(ALICE);
  const starting = assert.rejects(supervisor.ensure(ref("bob", "never")), { code: "STOPPING" });
  await until(() => supervisor.list({ user: "bob" })[0]?.pid, "bob's child is started");
  await supervisor.stopAll();
  await starting;
  assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
  for (const user of ["alice", "carol"])
    await assert.rejects(supervisor.ensure(ref(user, "echo")), { code: "STOPPING" });
});

test("a forgotten instance leaves no row, and an old handle of it starts nothing", async (t) => {
  const { supervisor, dataDir } = openSupervisor(t, { echo: fixture("echo-sse") });
  const instance = supervisor.instance(ALICE);
  await instance.ensure();
  await supervisor.forget({ user: "alice" }, "user removed");
  assert.deepEqual(supervisor.list(), []);
  assert.deepEqual(processesMarked(`HOME=${dataDir}/`), []);
  await assert.rejects(instance.ensure(), { code: "INSTANCE_NOT_FOUND" });
  assert.equal((await supervisor.ensure(ALICE)).generation, 1);
});

test("the states of a life are told in their order", async (t) => {
  const { supervisor } = openSupervisor(t, { echo: fixture("echo-sse") });
  const states: string[] = [];
  supervisor.events.on("state", ({ generation, state }) => states.push(`${generation} ${state}`));
  const live = await supervisor.ensure(ALICE);
  await supervisor.stop(ALICE, "stopped by an admin");
  assert.equal((await live.exited).reason, "was stopped by an admin");
  assert.deepEqual(states, ["1 starting", "1 ready", "1 draining", "1 gone"]);
});
