import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { OutputShare } from "../../src/platform/output-share.ts";
import { useOwnClock } from "../helpers/own-clock.ts";

const MIB = 1024 * 1024;

/** Time that goes on where a test says so, from a moment that no other test was near. */
function clock(t: TestContext): (ms: number) => void {
  let now = (clocks += 1) * 1e9;
  useOwnClock(t, () => now);
  return (ms) => void (now += ms);
}
let clocks = 0;

/** Reads so many times 64 KiB, each in a millisecond of which so much went into it. */
function read(share: OutputShare, pass: (ms: number) => void, times: number, ms = 0.1): void {
  for (let i = 0; i < times; i++) {
    pass(1);
    share.spendRead(64 * 1024, ms, true);
  }
}

test("who says more than it was asked for is read slowly from some point on, until all of it could be read at once for a while", (t) => {
  const pass = clock(t);
  const share = new OutputShare();
  let told = 0;
  share.onFlood(() => (told += 1));
  read(share, pass, 2000);
  assert.equal(share.isFlooding, false, "128 MiB are a burst");
  read(share, pass, 1500);
  assert.equal(share.isFlooding, true);
  assert.equal(share.floodingMs, null, "that is no news yet");
  read(share, pass, 11_000);
  assert.equal(told, 1);
  assert.ok(share.floodingMs! > 10_000);
  for (let i = 0; i < 3; i++) {
    pass(1001);
    share.spendRead(1, 0, false);
  }
  assert.equal(share.isFlooding, false);
  assert.equal(share.floodingMs, null);
});

test("what was asked for is held against nobody", (t) => {
  const pass = clock(t);
  const share = new OutputShare();
  const asking = { answeredBytes: 0, inFlight: 0 };
  share.countAsked(asking);
  for (let i = 0; i < 100; i++) {
    read(share, pass, 100, 1);
    asking.answeredBytes += 100 * 64 * 1024;
  }
  assert.equal(share.isFlooding, false);
});

test("what may be an answer that is under way is held against nobody before that shows, up to a bound", (t) => {
  const pass = clock(t);
  const [share, other] = [new OutputShare(), new OutputShare()];
  share.countAsked({ answeredBytes: 0, inFlight: 1 });
  for (const each of [share, other]) read(each, pass, (200 * MIB) / (64 * 1024), 1);
  assert.deepEqual([share.isFlooding, other.isFlooding], [false, true]);
  read(share, pass, (200 * MIB) / (64 * 1024), 1);
  assert.equal(share.isFlooding, true, "no answer is as long");
});

test("many that say much have together what one has alone, and one that says little among them has its own", (t) => {
  const pass = clock(t);
  const alone = new OutputShare();
  for (let i = 0; i < 3000; i++) {
    pass(10);
    alone.spendRead(1024, 1, true);
  }
  assert.equal(alone.isFlooding, false);
  pass(10_000);
  const ten = Array.from({ length: 10 }, () => new OutputShare());
  const calm = new OutputShare();
  for (let i = 0; i < 3000; i++) {
    pass(10);
    for (const share of ten) share.spendRead(1024, 1, true);
    if (i % 100 === 0) calm.spendRead(1024, 1, true);
  }
  assert.ok(ten.every(({ isFlooding }) => isFlooding));
  assert.equal(calm.isFlooding, false);
});

test("a line that goes on may be an answer where one is to come, and can be none where nobody asked", (t) => {
  const pass = clock(t);
  const [asked, unasked] = [new OutputShare(), new OutputShare()];
  asked.countAsked({ answeredBytes: 0, inFlight: 1 });
  for (let i = 0; i < 500; i++) {
    pass(4);
    for (const share of [asked, unasked]) share.spend({ lines: 0, bytes: 64 * 1024, ms: 2 }, true);
  }
  assert.deepEqual([asked.isFlooding, unasked.isFlooding], [false, true]);
  asked.refund(0);
  asked.spend({ lines: 1, bytes: 0, ms: 0 }, false);
  assert.equal(asked.isFlooding, false);
});
