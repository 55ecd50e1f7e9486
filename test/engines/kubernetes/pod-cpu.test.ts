import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { CpuLoad } from "../../../src/engines/engine.ts";
import { PodCpu } from "../../../src/engines/kubernetes/pod-cpu.ts";
import { skippingTime } from "../../helpers/skippable-time.ts";

function metered(t: TestContext, limit: number | undefined) {
  const skip = skippingTime(t);
  let cpuSeconds = 0;
  const cpu = new PodCpu(() => ({ rssBytes: 0, cpuSeconds, processes: 1 }), limit);
  t.after(() => cpu.close());
  const told: CpuLoad[] = [];
  cpu.onBusy((load) => told.push(load));
  cpu.look();
  /** So many cores are used for 5 s. */
  const use = (cores: number): void => {
    skip(5000);
    cpuSeconds += cores * 5;
    cpu.look();
  };
  return { cpu, told, use };
}

test("a pod that uses all of its limit for a while is told of, once", (t) => {
  const { cpu, told, use } = metered(t, 0.5);
  use(0.5);
  assert.equal(cpu.load, null);
  use(0.5);
  use(0.5);
  assert.equal(told.length, 1);
  assert.equal(told[0]!.limit, 0.5);
  assert.equal(cpu.load!.cores.toFixed(1), "0.5");
  use(0.1);
  assert.equal(cpu.load, null);
});

test("one without a limit may use less than a core in peace", (t) => {
  const { told, use } = metered(t, undefined);
  for (let i = 0; i < 5; i++) use(0.8);
  assert.deepEqual(told, []);
  for (let i = 0; i < 3; i++) use(1.5);
  assert.equal(told.length, 1);
});
