import assert from "node:assert/strict";
import { test } from "node:test";
import { FailureLimit } from "../../src/http/failure-limit.ts";

function limitAt(): { limit: FailureLimit; clock: { now: number } } {
  const clock = { now: 0 };
  return { clock, limit: new FailureLimit(() => clock.now) };
}

test("ten failures a minute are let be, the eleventh is told how long to wait, and the next minute begins anew", () => {
  const { limit, clock } = limitAt();
  for (let i = 0; i < 10; i++) {
    assert.equal(limit.failed("203.0.113.9"), undefined);
    clock.now += 1000;
  }
  assert.equal(limit.failed("203.0.113.9"), 50);
  assert.equal(limit.failed("203.0.113.10"), undefined, "another address is another's");
  clock.now = 59_500;
  assert.equal(limit.failed("203.0.113.9"), 1);
  clock.now = 60_000;
  assert.equal(limit.failed("203.0.113.9"), undefined);
});

test("who moves about within a /64 does not get away", () => {
  const { limit } = limitAt();
  for (let i = 0; i < 10; i++)
    assert.equal(limit.failed(`2001:db8:0:1::${i.toString(16)}`), undefined);
  assert.equal(limit.failed("2001:db8:0:1:ffff::1"), 60);
});

test("this machine is not counted", () => {
  const { limit } = limitAt();
  for (let i = 0; i < 30; i++) assert.equal(limit.failed("127.0.0.1"), undefined);
  assert.equal(limit.size, 0);
});

test("the table is bounded, and what is over is forgotten", () => {
  const { limit, clock } = limitAt();
  for (let i = 0; i < 30_000; i++) limit.failed(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
  assert.equal(limit.size, 10_000);
  clock.now = 60_000;
  limit.failed("203.0.113.9");
  assert.equal(limit.size, 1);
});
