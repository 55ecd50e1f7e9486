import assert from "node:assert/strict";
import { test } from "node:test";
import { IncomingBody } from "../../src/http/body-watch.ts";

/** Seconds after which a body is late that receives so many bytes in each five seconds, up to two minutes. */
function lateAfter(bytesOf: (step: number) => number): number | undefined {
  let lateAt: number | undefined;
  let seconds = 0;
  const body = new IncomingBody(() => (lateAt ??= seconds));
  for (let step = 0; step < 24; step++) {
    body.received += bytesOf(step);
    seconds += 5;
    body.passed(5_000);
  }
  return lateAt;
}

test("a body that stands still is late after 15 s, wherever it stopped", () => {
  assert.equal(
    lateAfter(() => 0),
    15,
  );
  assert.equal(
    lateAfter((step) => (step < 4 ? 100_000 : 0)),
    35,
  );
});

test("a body that drips is late after 20 s", () => {
  assert.equal(
    lateAfter(() => 1),
    20,
  );
  assert.equal(
    lateAfter(() => 5 * 1023),
    20,
  );
});

test("a slow body that moves on is left alone", () => {
  assert.equal(
    lateAfter(() => 5 * 1025),
    undefined,
  );
  assert.equal(
    lateAfter((step) => (step % 2) * 20_000),
    undefined,
  );
});
