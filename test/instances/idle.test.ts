import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { IdleWatch } from "../../src/instances/idle.ts";
import type { Instance } from "../../src/instances/supervisor.ts";
import { fixture, openSupervisor, ref } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

const MINUTE_MS = 60_000;

interface Fake {
  ref: { user: string; server: string; variant: string };
  live: object | undefined;
  idleSince: number | undefined;
}

function rig(t: TestContext) {
  let now = 1_000;
  t.mock.timers.enable({ apis: ["setTimeout"] });
  t.mock.method(performance, "now", () => now);
  const instances: Fake[] = [];
  const stopped: string[] = [];
  const watch = new IdleWatch({
    instances: () => instances as unknown as Instance[],
    timeoutOf: (server) => ({ mail: 15 * MINUTE_MS, quick: 90_000 })[server],
    stop: (instance, reason) => {
      stopped.push(`${instance.ref.user}: ${reason}`);
      (instance as unknown as Fake).live = undefined;
    },
  });
  return {
    stopped,
    watch,
    now: () => now,
    add(user: string, server: string): Fake {
      const fake = { ref: ref(user, server), live: {}, idleSince: now };
      instances.push(fake);
      watch.watch(server);
      return fake;
    },
    pass(ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
    },
  };
}

test("a child that nobody uses is stopped after its server's own time, one in use is not", (t) => {
  const it = rig(t);
  it.add("alice", "mail");
  it.add("bob", "quick");
  it.add("carol", "stateful");
  const busy = it.add("dave", "quick");
  busy.idleSince = undefined;
  it.pass(89_999);
  assert.deepEqual(it.stopped, []);
  it.pass(21);
  assert.deepEqual(it.stopped, ["bob: stopped: idle for 90s"]);
  it.pass(13 * MINUTE_MS);
  busy.idleSince = it.now();
  it.pass(2 * MINUTE_MS);
  assert.deepEqual(
    new Set(it.stopped.slice(1)),
    new Set(["alice: stopped: idle for 15m", "dave: stopped: idle for 90s"]),
  );
});

test("a message puts the stop off, whatever the timer was set for", (t) => {
  const it = rig(t);
  const alice = it.add("alice", "quick");
  for (let i = 0; i < 20; i++) {
    it.pass(80_000);
    alice.idleSince = it.now();
  }
  assert.deepEqual(it.stopped, []);
  it.pass(91_000);
  assert.equal(it.stopped.length, 1);
  it.watch.close();
});

test("a real child that is idle ends in good order, and the next message starts it again", async (t) => {
  const { supervisor } = openSupervisor(t, {
    quick: fixture("echo-sse", [], { idleTimeout: "150ms" }),
    stateful: fixture("echo-sse", [], { idleTimeout: "150ms", stateful: true }),
  });
  const quick = ref("alice", "quick");
  const held = ref("bob", "quick");
  await supervisor.ensure(ref("alice", "stateful"));
  supervisor.instance(held).usage.inFlight = 1;
  await supervisor.ensure(held);
  const { exited } = await supervisor.ensure(quick);
  assert.equal((await exited).reason, "was stopped: idle for 150ms");
  await until(() => supervisor.list(quick)[0]?.state === "stopped", "it is stopped");
  assert.equal(supervisor.list(quick)[0]?.reason, "stopped: idle for 150ms");
  assert.equal((await supervisor.ensure(quick)).generation, 2);
  assert.deepEqual(
    [held, ref("alice", "stateful")].map((other) => supervisor.list(other)[0]?.state),
    ["ready", "ready"],
  );
});
