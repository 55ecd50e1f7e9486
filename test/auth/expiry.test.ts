import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { KeyExpiry } from "../../src/auth/expiry.ts";

function rig(t: TestContext) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const told: string[] = [];
  const expiry = new KeyExpiry(({ credentialId }) => told.push(credentialId));
  return {
    told,
    expiry,
    watch: (credentialId: string, inMs: number): void => {
      const expiresAt = Date.now() + inMs;
      const who = { user: "ada", issuer: "key", subject: "ada", credentialId, label: null };
      expiry.watch({ ...who, expiresAt }, expiresAt);
    },
    pass: (ms: number) => t.mock.timers.tick(ms),
  };
}

test("every key is told of when its time has come, in whatever order they were seen", (t) => {
  const { told, watch, pass } = rig(t);
  watch("later", 20_000);
  watch("soon", 5_000);
  watch("soon", 5_000);
  watch("latest", 30_000);
  pass(4_999);
  assert.deepEqual(told, []);
  pass(1);
  assert.deepEqual(told, ["soon"]);
  pass(15_000);
  assert.deepEqual(told, ["soon", "later"]);
  pass(10_000);
  assert.deepEqual(told, ["soon", "later", "latest"]);
  pass(1_000_000);
  assert.equal(told.length, 3);
});

test("a key that was revoked is not told of again", (t) => {
  const { told, watch, expiry, pass } = rig(t);
  watch("one", 5_000);
  watch("two", 5_000);
  expiry.forget("one");
  pass(5_000);
  assert.deepEqual(told, ["two"]);
});

test("a key of years is no key of now, and a clock that jumps is noticed within a minute", (t) => {
  const { told, watch, pass } = rig(t);
  watch("years", 1_000 * 86_400_000);
  pass(60_000);
  assert.deepEqual(told, []);
  t.mock.timers.setTime(Date.now() + 1_000 * 86_400_000);
  pass(60_000);
  assert.deepEqual(told, ["years"]);
});
