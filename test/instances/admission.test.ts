import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Admission } from "../../src/instances/admission.ts";
import type { Candidate } from "../../src/instances/admission.ts";
import { fixture, openSupervisor, ref } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));
const LIMITS = {
  children: 3,
  childrenPerUser: 2,
  memoryBytes: 1_000,
  spawnConcurrency: 1,
  sessionsPerUser: 128,
  streamsPerUser: 1,
  bodyBytes: 1,
  unreadBytes: 1,
  unreadTotalBytes: 1,
};

class Child implements Candidate {
  readonly ref;
  state: Candidate["state"] = { name: "ready" };
  isHandedOver = false;
  readonly isPod;
  idleSince: number | undefined;
  bytes = 10;
  reason = "";
  gone!: () => void;

  constructor(user: string, server = "mail") {
    this.ref = ref(user, server);
    this.isPod = server.startsWith("pod");
  }

  async stop(reason: string): Promise<void> {
    this.state = { name: "draining" };
    this.idleSince = undefined;
    this.reason = reason;
    await new Promise<void>((resolve) => (this.gone = resolve));
    this.bytes = 0;
  }

  async rssBytes(): Promise<number> {
    return this.bytes;
  }
}

function rig(t: TestContext, limits: Partial<typeof LIMITS> = {}) {
  let now = 100_000;
  t.mock.method(performance, "now", () => now);
  const admission = new Admission({
    limits: { ...LIMITS, ...limits },
    maxPods: () => 2,
    isSpare: (server) => server !== "stateful",
    onFailure: (_tenant, error) => assert.fail(String(error)),
  });
  return {
    admission,
    pass: (ms: number) => (now += ms),
    async add(this: void, user: string, idleForMs?: number, server?: string): Promise<Child> {
      const child = new Child(user, server);
      await admission.admit(child, never);
      if (idleForMs !== undefined) child.idleSince = now - idleForMs;
      return child;
    },
    end(this: void, child: Child) {
      child.state = { name: "stopped" };
      admission.left(child);
      child.gone();
    },
  };
}

test("when the machine is full, the child that has been idle for the longest time makes room", async (t) => {
  const { admission, add, end } = rig(t);
  await add("alice", 5_000, "stateful");
  const bob = await add("bob", 3_000);
  const carol = await add("carol", 4_000);
  const dave = add("dave");
  const erin = add("erin");
  await settled();
  assert.equal(admission.waiting, 2);
  assert.equal(carol.reason, "stopped: idle, and its place was needed");
  assert.equal(bob.state.name, "draining");
  end(bob);
  await erin;
  assert.equal(admission.waiting, 1);
  end(carol);
  await dave;
  await assert.rejects(add("frank"), {
    code: "INSTANCE_LIMIT",
    status: 503,
    retryAfterSeconds: 10,
    message:
      "frank/mail: 3 children run on this machine, which is the limit (limits.children), and none is idle",
  });
});

test("a user at the own limit loses the own idle child, and nobody else's", async (t) => {
  const { add, end } = rig(t);
  const bob = await add("bob", 9_000);
  const first = await add("alice", 2_000, "one");
  const second = await add("alice", undefined, "two");
  const third = add("alice", undefined, "three");
  await settled();
  assert.deepEqual(
    [bob.state.name, first.state.name, second.state.name],
    ["ready", "draining", "ready"],
  );
  end(first);
  await third;
  await assert.rejects(add("alice", undefined, "four"), { code: "TOO_MANY_CHILDREN", status: 429 });
});

test("a child that was wanted a moment ago is not idle yet", async (t) => {
  const { add, pass, end } = rig(t, { children: 1 });
  const bob = await add("bob", 0);
  await assert.rejects(add("alice"), { code: "INSTANCE_LIMIT" });
  pass(1_000);
  const alice = add("alice");
  await settled();
  end(bob);
  await alice;
});

test("a child that ends anyway hands its place on, and one that gives up takes none", async (t) => {
  const { admission, add, end } = rig(t, { children: 1 });
  const bob = await add("bob");
  void bob.stop("stopped by an admin");
  const leaving = new AbortController();
  const left = assert.rejects(admission.admit(new Child("alice"), leaving.signal), /left/);
  leaving.abort(new Error("left"));
  await left;
  const carol = add("carol");
  await settled();
  assert.equal(bob.reason, "stopped by an admin");
  end(bob);
  await carol;
  assert.equal(admission.waiting, 0);
});

test("when the memory is full, idle children end one by one until there is room", async (t) => {
  const { add, end, pass } = rig(t, { children: 9 });
  const big = await add("alice", 9_000);
  const idle = await add("bob", 8_000);
  const busy = await add("carol");
  Object.assign(big, { bytes: 600 });
  Object.assign(idle, { bytes: 600 });
  Object.assign(busy, { bytes: 700 });
  pass(5_000);
  const dave = add("dave");
  await until(() => big.state.name === "draining", "the longest idle one ends");
  assert.equal(big.reason, "stopped: idle, and its memory was needed");
  assert.equal(idle.state.name, "ready");
  end(big);
  await until(() => idle.state.name === "draining", "the next one ends");
  end(idle);
  await dave;
  busy.bytes = 2 ** 21;
  pass(5_000);
  await assert.rejects(add("erin"), { code: "INSTANCE_LIMIT", message: /limits\.memory/ });
});

test("pods have a limit of their own, and nothing of what this machine has", async (t) => {
  const { add, end } = rig(t, { children: 1 });
  const local = await add("alice", 9_000);
  Object.assign(local, { bytes: 900 });
  const idle = await add("bob", 2_000, "pod");
  Object.assign(idle, { bytes: 2 ** 30 });
  await add("carol", undefined, "pod");
  const next = add("dave", undefined, "pod");
  await settled();
  assert.deepEqual([local.state.name, idle.state.name], ["ready", "draining"]);
  end(idle);
  await next;
  await assert.rejects(add("erin", undefined, "pod"), {
    code: "INSTANCE_LIMIT",
    message: "erin/pod: 2 pods run, which is the limit (kubernetes.maxPods), and none is idle",
  });
});

test("a user's pods and children of this machine are counted together", async (t) => {
  const { add, end } = rig(t);
  const local = await add("alice", 2_000, "local");
  await add("alice", undefined, "pod-one");
  const next = add("alice", undefined, "pod-two");
  await settled();
  assert.equal(local.state.name, "draining");
  // It will be a pod, and there are two.
  await assert.rejects(add("bob", undefined, "pod"), { message: /kubernetes\.maxPods/ });
  end(local);
  await next;
});

test("where the user's children and the pods are both at their limit, a pod of the user's goes", async (t) => {
  const { add, end } = rig(t);
  const local = await add("alice", 9_000, "local");
  const own = await add("alice", 2_000, "pod-one");
  await add("bob", undefined, "pod");
  const next = add("alice", undefined, "pod-two");
  await settled();
  assert.deepEqual([local.state.name, own.state.name], ["ready", "draining"]);
  end(own);
  await next;
});

test("for a pod that the cluster has no room for the idle ones go, one at a time", async (t) => {
  const { admission, add, end } = rig(t);
  const local = await add("alice", 9_000);
  const idle = await add("bob", 2_000, "pod");
  const wanting = await add("carol", undefined, "pod");
  const room = admission.makeRoom(wanting);
  await settled();
  assert.deepEqual([local.state.name, idle.state.name], ["ready", "draining"]);
  end(idle);
  assert.equal(await room, true);
  assert.equal(await admission.makeRoom(wanting), false);
});

test("real children: the idle one ends for a new user, and comes back when it is wanted", async (t) => {
  const { supervisor } = openSupervisor(
    t,
    { echo: fixture("echo-sse") },
    { limits: { children: 1 } },
  );
  const [alice, bob] = [ref("alice", "echo"), ref("bob", "echo")];
  await supervisor.ensure(alice);
  const refused = await supervisor.ensure(bob).catch((error: unknown) => error);
  assert.equal((refused as { code: string }).code, "INSTANCE_LIMIT");
  const real = performance.now.bind(performance);
  t.mock.method(performance, "now", () => real() + 2_000);
  await supervisor.ensure(bob);
  assert.equal(supervisor.list(alice)[0]?.reason, "stopped: idle, and its place was needed");
  assert.deepEqual(supervisor.queue(), { starting: 0, waiting: 0 });
  supervisor.instance(bob).usage.inFlight = 1;
  await assert.rejects(supervisor.ensure(alice), { code: "INSTANCE_LIMIT" });
});

test("a child that starts beside another has nobody stopped for it, and is no second child of its user's", async (t) => {
  const { admission, add, end, pass } = rig(t, { children: 3, childrenPerUser: 1 });
  const bob = await add("bob", 9_000);
  const before = await add("alice");
  const next = new Child("alice");
  next.state = { name: "starting" };
  assert.equal(await admission.admitBeside(next, before), true);
  const third = new Child("bob");
  assert.equal(await admission.admitBeside(third, bob), false, "three are three, whoever's");
  assert.equal(bob.state.name, "ready");

  next.state = { name: "ready" };
  Object.assign(before, { isHandedOver: true, state: { name: "draining" } });
  // It is not the draining one that is too many for this user.
  await assert.rejects(add("alice", undefined, "other"), { code: "TOO_MANY_CHILDREN" });
  void before.stop(before.reason);
  end(before);
  pass(5_000);
  Object.assign(next, { bytes: 400 });
  Object.assign(bob, { bytes: 300 });
  const one = new Child("alice");
  one.state = { name: "starting" };
  assert.equal(await admission.admitBeside(one, next), false, "it will need as much as that one");
  next.bytes = 300;
  pass(5_000);
  assert.equal(await admission.admitBeside(one, next), true);
  admission.left(one);
});

test("a newcomer waits for a child that drains only where none is idle", async (t) => {
  const { add, end } = rig(t, { children: 2 });
  const drains = await add("alice");
  Object.assign(drains, { isHandedOver: true, state: { name: "draining" } });
  const idle = await add("bob", 5_000);
  const carol = add("carol");
  await settled();
  assert.equal(idle.state.name, "draining");
  end(idle);
  await carol;
  const dave = add("dave");
  await settled();
  void drains.stop(drains.reason);
  end(drains);
  await dave;
});
