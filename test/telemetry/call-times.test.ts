import assert from "node:assert/strict";
import { test } from "node:test";
import { CallTimes } from "../../src/telemetry/call-times.ts";

test("the figures of a minute are within ten percent, and what was taken is not taken again", () => {
  let now = 100_000;
  const times = new CallTimes(() => now);
  const nothing = { calls: 0, errors: 0, p50Ms: null, p99Ms: null };
  assert.deepEqual(times.lastMinute(), nothing);
  for (let ms = 1; ms <= 1000; ms += 1) times.add(ms, ms % 100 === 0);
  const { calls, errors, p50Ms, p99Ms } = times.lastMinute();
  assert.deepEqual([calls, errors], [1000, 10]);
  assert.ok(p50Ms !== null && p50Ms >= 500 && p50Ms <= 551, String(p50Ms));
  assert.ok(p99Ms !== null && p99Ms >= 990 && p99Ms <= 1090, String(p99Ms));
  now += 30_000;
  times.add(0, true);
  times.add(1e9, false);
  assert.equal(times.take().calls, 1002);
  assert.deepEqual(times.take(), nothing);
  now += 40_000;
  assert.equal(times.lastMinute().calls, 2, "what came first is over a minute ago");
  now += 60_000;
  assert.deepEqual(times.lastMinute(), nothing);
});
