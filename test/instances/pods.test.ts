import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Live } from "../../src/instances/supervisor.ts";
import { openSupervisor, ref } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";
import { Machines, PretendCluster } from "./pretend-cluster.ts";

const ALICE = ref("alice", "mail");
const kubernetes = { namespace: "mcps", shimImage: "shim:1", image: "mail:1", kubeconfig: "/k" };

function open(t: TestContext, cluster: PretendCluster, settings: object = {}) {
  const servers = { mail: { command: "server" } };
  return openSupervisor(t, servers, { engine: "kubernetes", kubernetes, ...settings }, cluster);
}

function greetingOf({ target }: Live): string {
  assert.ok(target.transport === "stdio" && target.era === "legacy");
  return target.shared.greeting.toString();
}

test("a message for a pod that waits is told to come again, and the pod goes on waiting", async (t) => {
  const cluster = new PretendCluster();
  const { promise: over, resolve: begin } = Promise.withResolvers<void>();
  cluster.waitsFor = { why: "no node takes it", over };
  const { supervisor } = open(t, cluster, { startTimeout: "20ms" });
  await assert.rejects(supervisor.ensure(ALICE), {
    code: "INSTANCE_PENDING",
    message: "alice/mail: its pod waits: no node takes it",
    retryAfterSeconds: 10,
  });
  const [row] = supervisor.list();
  assert.deepEqual([row!.state, row!.reason, row!.failures], ["starting", "no node takes it", 0]);
  begin();
  await until(() => supervisor.instance(ALICE).live !== undefined, "it is there");
  assert.equal((await supervisor.ensure(ALICE)).generation, 1);
});

test("one that cannot be reached is given up at once, and the next starts when nothing of it can live", async (t) => {
  const cluster = new PretendCluster();
  const { supervisor } = open(t, cluster);
  const live = await supervisor.ensure(ALICE);
  const { promise, resolve: end } = Promise.withResolvers<void>();
  cluster.isGone = promise;
  cluster.lose("cannot be reached any more");
  assert.equal((await live.exited).reason, "cannot be reached any more");
  let next: Live | undefined;
  void supervisor.ensure(ALICE).then((started) => (next = started));
  await until(() => supervisor.list()[0]!.state === "draining", "its end is waited for");
  assert.equal(next, undefined);
  end();
  await until(() => next !== undefined, "the next one is there");
  assert.equal(next!.generation, 2);
});

test("an orderly end leaves it running, and the next daemon goes on with it", async (t) => {
  const machines = new Machines();
  const first = open(t, new PretendCluster(machines));
  const live = await first.supervisor.ensure(ALICE);
  await first.supervisor.stopAll();
  assert.equal(machines.kept.length, 1);
  const [kept] = machines.kept;
  assert.match(Buffer.from(kept!.note!).toString(), /pretend/);
  // What it would answer now is not asked for: a child is initialised once.
  kept!.note = Buffer.from(
    JSON.stringify({ greeting: '{"protocolVersion":"2025-06-18","kept":1}' }),
  );
  const { supervisor } = open(t, new PretendCluster(machines));
  await supervisor.takeOver();
  const taken = supervisor.instance(ALICE).live;
  assert.ok(taken !== undefined);
  assert.match(greetingOf(taken), /"kept":1/);
  assert.doesNotMatch(greetingOf(live), /"kept"/);
  await supervisor.stop({}, "stopped by an admin");
  assert.deepEqual(machines.kept, []);
});

test("until when a child may live that nobody reaches is asked of the cluster", (t) => {
  const cluster = new PretendCluster();
  const { supervisor } = open(t, cluster);
  cluster.unreached = { user: "alice", until: 5000 };
  assert.deepEqual(
    ["alice", "bob"].map((user) => supervisor.mayLiveUntil(user)),
    [5000, null],
  );
});
