import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Live } from "../../src/instances/supervisor.ts";
import { PretendEngine } from "../engines/pretend-engine.ts";
import { openSupervisor, ref } from "../helpers/supervisor.ts";

const FAR_MS = 600_000;

async function start(t: TestContext) {
  const engine = new PretendEngine();
  const servers = { one: { command: "server" } };
  const { supervisor } = openSupervisor(t, servers, {}, engine);
  const instance = supervisor.instance(ref("alice", "one"));
  const first = await instance.ensure();
  return { supervisor, instance, first };
}

/** Which generations there are, in which state, with how many calls under way. */
const shown = (instance: Awaited<ReturnType<typeof start>>["instance"]): string[] =>
  instance.generations().map((row) => `${row.generation} ${row.state} ${row.inFlight}`);

const hasEnded = (live: Live): Promise<boolean> =>
  Promise.race([live.exited.then(() => true), new Promise<boolean>((r) => setImmediate(r, false))]);

test("a second generation takes the work while the first answers the calls that it has", async (t) => {
  const { instance, first } = await start(t);
  first.work.begin();
  first.work.begin();
  const over = instance.handOver("a new version is there", FAR_MS);
  const second = await instance.ensure();
  assert.deepEqual([second.generation, instance.live], [2, second]);
  second.work.begin();
  assert.deepEqual(shown(instance), ["2 ready 1", "1 draining 2"]);
  assert.deepEqual([instance.state, instance.row().generation], ["ready", 2]);

  first.work.end();
  assert.equal(await hasEnded(first), false);
  first.work.end();
  await over;
  assert.equal((await first.exited).reason, "a new version is there");
  assert.deepEqual(shown(instance), ["2 ready 1"]);
  assert.equal(await hasEnded(second), false);
});

test("a generation that has nothing to answer ends as soon as its work is handed over", async (t) => {
  const { instance, first } = await start(t);
  await instance.handOver("a new version is there", FAR_MS);
  assert.equal((await first.exited).reason, "a new version is there");
  assert.equal((await instance.ensure()).generation, 2);
});

test("calls that take too long end with the generation that has them", async (t) => {
  const { instance, first } = await start(t);
  first.work.begin();
  await instance.handOver("a new version is there", 1);
  assert.equal(await hasEnded(first), true);
  assert.equal((await instance.ensure()).generation, 2);
});

test("a stop waits for nobody's answers, and ends both", async (t) => {
  const { instance, first } = await start(t);
  first.work.begin();
  const over = instance.handOver("a new version is there", FAR_MS);
  const second = await instance.ensure();
  await instance.stop("stopped by an admin");
  await over;
  assert.deepEqual(shown(instance), []);
  assert.equal((await second.exited).reason, "stopped by an admin");
  assert.equal((await first.exited).reason, "a new version is there");
  assert.equal(instance.state, "stopped");
});

test("the end of the second is told though the first still drains, and the next takes over", async (t) => {
  const { instance, first } = await start(t);
  first.work.begin();
  const over = instance.handOver("a new version is there", FAR_MS);
  const second = await instance.ensure();
  await instance.restart("restarted by an admin");
  assert.equal((await second.exited).reason, "restarted by an admin");
  const third = await instance.ensure();
  assert.equal(third.generation, 3);
  assert.deepEqual(shown(instance), ["3 ready 0", "1 draining 1"]);
  first.work.end();
  await over;
});
