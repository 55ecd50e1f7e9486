import assert from "node:assert/strict";
import { test } from "node:test";
import { CpuMeter } from "../../../src/engines/process/cpu-meter.ts";
import type { ProcessEntry } from "../../../src/engines/process/process-table.ts";

/** Looks two seconds apart of which the last is now. */
function looks(count: number): number[] {
  const now = performance.now();
  return Array.from({ length: count }, (_, index) => now - (count - 1 - index) * 2000);
}

/** `ran`, `reaped`: ms. */
const entry = (pid: number, ran: number, reaped = 0): ProcessEntry => ({
  pid,
  ppid: 1,
  group: 1,
  session: 1,
  isZombie: false,
  isExiting: false,
  threads: 1,
  ownTicks: ran / 10,
  reapedTicks: reaped / 10,
  startTicks: 1,
});

/** Nobody waits for a turn. */
const calmly = () => ({ ranMs: 0, waitedMs: 0 });

const forSeconds = (since: number): number => Math.round((Date.now() - since) / 1000);

test("a group that uses all of its limit is known with the time that it has been so", () => {
  const meter = new CpuMeter(0.5);
  for (const [index, at] of looks(7).entries())
    meter.countGroup({ usedMs: index * 1000, periods: index * 20, throttled: 0 }, at);
  const { since, cores, limit } = meter.load() ?? assert.fail("it is busy");
  assert.equal(forSeconds(since), 12);
  assert.deepEqual([cores.toFixed(2), limit], ["0.50", 0.5]);
});

test("what a machine had no more to give of is all, where the kernel held the group back", () => {
  const [held, free] = [new CpuMeter(0.5), new CpuMeter(0.5)];
  for (const [index, at] of looks(7).entries()) {
    const use = { usedMs: index * 700, periods: index * 20 };
    held.countGroup({ ...use, throttled: index * 20 }, at);
    free.countGroup({ ...use, throttled: index * 4 }, at);
  }
  assert.ok(held.load());
  assert.equal(free.load(), null);
});

test("a child that always wants to run is known on a machine with nothing left to give, one that often waits for a turn is not", () => {
  const [hog, calm] = [new CpuMeter(0.5), new CpuMeter(0.5)];
  for (const [index, at] of looks(7).entries()) {
    const ranMs = index * 200;
    hog.countProcesses([entry(7, ranMs)], at, () => ({ ranMs, waitedMs: index * 1800 }));
    calm.countProcesses([entry(7, ranMs)], at, () => ({ ranMs, waitedMs: index * 1200 }));
  }
  assert.equal(hog.load()?.cores.toFixed(1), "0.1");
  assert.equal(calm.load(), null);
});

test("a few busy seconds are no news, nor is a child that has become calm", () => {
  const [brief, calm] = [new CpuMeter(1), new CpuMeter(1)];
  for (const [index, at] of looks(5).entries())
    brief.countProcesses([entry(7, index * 2000)], at, calmly);
  assert.equal(brief.load(), null);
  const used = [0, 2000, 4000, 6000, 8000, 10_000, 12_000, 12_100];
  for (const [index, at] of looks(8).entries())
    calm.countProcesses([entry(7, used[index]!)], at, calmly);
  assert.equal(calm.load(), null);
});

test("a child without a limit is known by a whole core", () => {
  const [whole, half] = [new CpuMeter(undefined), new CpuMeter(undefined)];
  for (const [index, at] of looks(7).entries()) {
    whole.countProcesses([entry(7, index * 1000), entry(8, index * 1000)], at, calmly);
    half.countProcesses([entry(7, index * 1000)], at, calmly);
  }
  assert.equal(whole.load()?.limit, null);
  assert.equal(half.load(), null);
});

test("the time of processes that come and go is counted, and once", () => {
  const meter = new CpuMeter(1);
  // At each look another worker is there that has just used a second; the one before it was reaped with one and a half.
  for (const [index, at] of looks(7).entries())
    meter.countProcesses([entry(1, 0, index * 1500), entry(10 + index, 1000)], at, calmly);
  assert.equal(meter.load(), null);
  const busy = new CpuMeter(1);
  for (const [index, at] of looks(7).entries())
    busy.countProcesses([entry(1, 0, index * 2000), entry(10 + index, 1000)], at, calmly);
  assert.equal(busy.load()?.cores.toFixed(1), "1.0");
});
