import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startWatchdog, takeWatchdogMs } from "../../src/systemd/watchdog.ts";
import { until } from "../helpers/until.ts";
import { useOwnClock } from "../helpers/own-clock.ts";

const LIMIT_MS = 200;

/** A watchdog whose meals and complaints are kept. */
function watch(t: TestContext, isHealthy: () => Promise<boolean>) {
  const seen = { meals: 0, complaints: [] as string[] };
  const watchdog = startWatchdog({
    limitMs: LIMIT_MS,
    isHealthy,
    feed: () => (seen.meals += 1),
    onSick: (why) => seen.complaints.push(why),
  });
  // Its own timer keeps nothing alive.
  const keeper = setInterval(() => undefined, 1000);
  t.after(() => {
    watchdog.stop();
    clearInterval(keeper);
  });
  return { seen, watchdog };
}

test("a healthy daemon feeds its watchdog again and again", async (t) => {
  const { seen } = watch(t, async () => true);
  await until(() => seen.meals >= 3, "it was fed three times");
});

test("a daemon whose gateway is silent does not feed it, and says why", async (t) => {
  let isAnswering = false;
  const { seen } = watch(t, async () => isAnswering);
  await until(() => seen.complaints.length >= 2, "it has complained twice");
  assert.equal(seen.meals, 0);
  assert.match(seen.complaints[0]!, /the gateway did not answer itself/);
  isAnswering = true;
  await until(() => seen.meals > 0, "it is fed again");
});

test("an event loop that stood still does not feed it at its first turn", async (t) => {
  const real = performance.now.bind(performance);
  let ahead = 0;
  useOwnClock(t, () => real() + ahead);
  const { seen } = watch(t, async () => true);
  ahead += LIMIT_MS * 2;
  await until(() => seen.complaints.length > 0, "it has complained");
  assert.equal(seen.meals, 0);
  assert.match(seen.complaints[0]!, /the event loop stood still for \d+ ms/);
  await until(() => seen.meals > 0, "it is fed once the loop turns");
});

test("a watchdog that was stopped is fed no more, even by a check under way", async (t) => {
  let answer: (isHealthy: boolean) => void = () => undefined;
  let ask: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => (ask = resolve));
  const { seen, watchdog } = watch(t, async () => {
    ask();
    return await new Promise<boolean>((resolve) => (answer = resolve));
  });
  await asked;
  watchdog.stop();
  answer(true);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(seen, { meals: 0, complaints: [] });
});

test("the limit is read where it is meant for this process, and taken out in any case", () => {
  const limits: [NodeJS.ProcessEnv, number | undefined][] = [
    [{ WATCHDOG_USEC: "30000000" }, 30_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "77" }, 30_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "78" }, undefined],
    [{ WATCHDOG_USEC: "0" }, undefined],
    [{}, undefined],
  ];
  for (const [env, limit] of limits) {
    assert.equal(takeWatchdogMs(env, 77), limit);
    assert.deepEqual(env, {});
  }
});
