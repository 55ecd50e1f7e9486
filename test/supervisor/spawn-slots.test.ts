import assert from "node:assert/strict";
import { test } from "node:test";
import { SpawnSlots } from "../../src/supervisor/spawn-slots.ts";

const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("starts beyond the limit wait and go in order of arrival", async () => {
  const slots = new SpawnSlots(2);
  const order: string[] = [];
  const take = async (name: string) => {
    const release = await slots.take(never);
    order.push(name);
    return release;
  };
  const starts = ["a", "b", "c", "d"].map(take);
  await settled();
  assert.deepEqual(order, ["a", "b"]);
  const releaseFirst = await starts[0]!;
  releaseFirst();
  releaseFirst();
  await settled();
  assert.deepEqual(order, ["a", "b", "c"]);
  (await starts[1]!)();
  await settled();
  assert.deepEqual(order, ["a", "b", "c", "d"]);
  for (const start of starts) (await start)();
});

test("one that gives up while it waits leaves the queue to the others", async () => {
  const slots = new SpawnSlots(1);
  const release = await slots.take(never);
  const leaving = new AbortController();
  const left = assert.rejects(slots.take(leaving.signal), /left/);
  const next = slots.take(never);
  leaving.abort(new Error("left"));
  await left;
  release();
  (await next)();
  await assert.rejects(slots.take(leaving.signal), /left/);
});

test("a start that hangs loses its slot, so that it does not keep the others from starting", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const slots = new SpawnSlots(1);
  await slots.take(never);
  let isStarted = false;
  const next = slots.take(never).then((release) => {
    isStarted = true;
    return release;
  });
  t.mock.timers.tick(4999);
  await settled();
  assert.equal(isStarted, false);
  t.mock.timers.tick(1);
  (await next)();
});
