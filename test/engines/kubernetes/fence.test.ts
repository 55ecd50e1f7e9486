import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Pod } from "../../../src/engines/kubernetes/api/objects.ts";
import { Fence } from "../../../src/engines/kubernetes/fence.ts";
import { skippingTime } from "../../helpers/skippable-time.ts";
import { until } from "../../helpers/until.ts";

const ref = { user: "alice", server: "mail", variant: "" };
const other = { ...ref, user: "bob" };
const never = new AbortController().signal;

type Tell = (pod: Pod, isGone: boolean) => void;

function fenced(t: TestContext) {
  const skip = skippingTime(t);
  let tell: Tell = () => {};
  const follow = (_name: string, listener: Tell): (() => void) => {
    tell = listener;
    return () => {};
  };
  const fence = new Fence({ follow });
  const own = { name: "pod", ref, orphanTimeoutMs: 5000, memoryLimit: undefined };
  const over = fence.hold({ ...own, lastSentAt: performance.now() });
  let hasPassed = false;
  void fence.passed(ref, never).then(() => (hasPassed = true));
  return {
    fence,
    over,
    skip,
    told: (pod: Pod, isGone = false) => tell(pod, isGone),
    hasPassed: () => hasPassed,
  };
}

const podIn = (phase: string, state: object): Pod => ({
  metadata: { name: "pod" },
  status: { phase, containerStatuses: [{ name: "child", state }] },
});

test("nobody follows one that may live, until its shim has ended it by itself for sure", async (t) => {
  const { fence, over, skip, hasPassed } = fenced(t);
  await fence.passed(other, never);
  assert.ok(fence.until("alice")! >= Date.now() + 14_000);
  assert.equal(fence.until("bob"), undefined);
  skip(14_000);
  await fence.passed(other, never);
  assert.equal(hasPassed(), false);
  skip(1100);
  assert.deepEqual(await over, { code: null, signal: "SIGKILL", limit: null });
  await until(hasPassed, "the next one may start");
  assert.equal(fence.until("alice"), undefined);
});

test("a kubelet's word is enough", async (t) => {
  const { over, told, hasPassed } = fenced(t);
  told(podIn("Failed", { terminated: { exitCode: 3 } }));
  assert.equal((await over).code, 3);
  await until(hasPassed, "the next one may start");
});

test("that a pod has vanished proves nothing", async (t) => {
  const { fence, skip, told, hasPassed, over } = fenced(t);
  told(podIn("Running", { running: {} }), true);
  await fence.passed(other, never);
  assert.equal(hasPassed(), false);
  skip(16_000);
  await over;
});

test("who gives up waiting has the reason of that", async (t) => {
  const { fence, skip, over } = fenced(t);
  const reason = new Error("given up");
  await assert.rejects(fence.passed(ref, AbortSignal.abort(reason)), reason);
  skip(16_000);
  await over;
});
