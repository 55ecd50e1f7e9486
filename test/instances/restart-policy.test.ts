import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError, shortageOf } from "../../src/errors.ts";
import { RestartPolicy, isShortage } from "../../src/instances/restart-policy.ts";

const ALICE = { user: "alice", server: "gmail", variant: "" };
const MINUTE_MS = 60_000;
const never = new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A clock for `performance.now` and the timers, in step. */
function clock(t: TestContext) {
  let now = 5_000;
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.UTC(2026, 0, 1) });
  t.mock.method(performance, "now", () => now);
  return {
    now: () => now,
    pass(this: void, ms: number) {
      now += ms;
      t.mock.timers.tick(ms);
    },
    /** Somebody sets the wall clock; no time goes by. */
    setWall: (epochMs: number) => t.mock.timers.setTime(epochMs),
  };
}

/** How long the policy waits after each of so many failures in a row. */
function waits(policy: RestartPolicy, count: number): number[] {
  return Array.from({ length: count }, () => {
    policy.failed("exited with code 1");
    return policy.retryAt - performance.now();
  });
}

test("each failure in a row doubles the wait, from a second to a minute, give or take a fifth", (t) => {
  clock(t);
  const expected = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000);
  for (let round = 0; round < 50; round++) {
    for (const [at, wait] of waits(new RestartPolicy(), 9).entries()) {
      assert.ok(wait >= expected[at]! * 0.8 && wait <= expected[at]! * 1.2, `${at}: ${wait}`);
    }
  }
});

test("children that fail together do not all come back together", (t) => {
  clock(t);
  const first = new Set(Array.from({ length: 20 }, () => waits(new RestartPolicy(), 1)[0]!));
  assert.ok(first.size > 10);
});

test("a start that does well begins the count anew", (t) => {
  clock(t);
  const policy = new RestartPolicy();
  waits(policy, 6);
  policy.clear();
  assert.equal(policy.failures, 0);
  assert.equal(policy.refusal(ALICE, 0), undefined);
  assert.ok(waits(policy, 1)[0]! <= 1_200);
});

test("a message waits for a try that comes within its patience, and is refused at once where it does not", async (t) => {
  const { pass } = clock(t);
  const policy = new RestartPolicy();
  waits(policy, 7);
  const refusal = policy.refusal(ALICE, 10_000);
  assert.equal(refusal?.code, "INSTANCE_BACKING_OFF");
  assert.ok(refusal.retryAfterSeconds! >= 48 && refusal.retryAfterSeconds! <= 72);
  assert.match(
    refusal.message,
    /^alice\/gmail: the child exited with code 1 \(7 failures in a row\); it is tried again in \d+ s$/,
  );
  pass(45_000);
  assert.equal(policy.refusal(ALICE, 30_000), undefined);
  let isOver = false;
  const waiting = policy.wait(never).then(() => (isOver = true));
  await settled();
  pass(policy.retryAt - performance.now() - 1);
  await settled();
  assert.equal(isOver, false);
  pass(2);
  await waiting;
});

test("who stops waiting leaves with the reason, and no timer", async (t) => {
  clock(t);
  const policy = new RestartPolicy();
  waits(policy, 1);
  const leaving = new AbortController();
  const waiting = assert.rejects(policy.wait(leaving.signal), /stopped by an admin/);
  leaving.abort(new Error("stopped by an admin"));
  await waiting;
  await assert.rejects(policy.wait(leaving.signal), /stopped by an admin/);
});

test("ten failures in a row park; after five minutes one message gets one try", async (t) => {
  const { pass } = clock(t);
  const policy = new RestartPolicy();
  waits(policy, 9);
  assert.equal(policy.isParked, false);
  waits(policy, 1);
  assert.equal(policy.isParked, true);
  // However patient the message is: nothing is held for five minutes.
  const refusal = policy.refusal(ALICE, 60 * MINUTE_MS);
  assert.equal(refusal?.retryAfterSeconds, 300);
  assert.match(refusal.message, /parked; .* restart by an admin, a new token or config/);
  pass(5 * MINUTE_MS);
  assert.equal(policy.refusal(ALICE, 0), undefined);
  await policy.wait(never);
  waits(policy, 1);
  assert.equal(policy.isParked, true);
  assert.equal(policy.refusal(ALICE, 0)?.retryAfterSeconds, 300);
});

test("a wall clock that jumps a month ahead or back moves nothing", async (t) => {
  const { pass, setWall } = clock(t);
  const policy = new RestartPolicy();
  waits(policy, 7);
  const due = policy.retryAt;
  const month = 30 * 24 * 60 * MINUTE_MS;
  setWall(Date.now() + month);
  assert.equal(policy.retryAt, due);
  assert.ok(policy.refusal(ALICE, 1_000));
  pass(due - performance.now() - 500);
  let isOver = false;
  const waiting = policy.wait(never).then(() => (isOver = true));
  setWall(Date.now() + month);
  await settled();
  assert.equal(isOver, false);
  pass(1_000);
  await waiting;
});

test("want of descriptors, processes, memory or disk is told from a failure of the child", () => {
  const low = Object.assign(new Error("spawn EAGAIN"), { code: "EAGAIN" });
  const shortage = shortageOf(low, "could not be started");
  assert.equal(isShortage(shortage), true);
  const missing = Object.assign(new Error("spawn ENOENT"), { code: "ENOENT" });
  assert.equal(
    isShortage(new SupervisorError("INSTANCE_SPAWN_FAILED", "none", { cause: missing })),
    false,
  );
  assert.equal(isShortage(new SupervisorError("INSTANCE_EXITED", "exited")), false);
});
