import assert from "node:assert/strict";
import { test } from "node:test";
import { RecentSecrets } from "../../src/builtins/recent-secrets.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";

test("of secrets that pass by the last ones are hidden, and however many come, no more are looked for", () => {
  const scrubber = new Scrubber();
  const secrets = new RecentSecrets(scrubber);
  const nameOf = (number: number): string => `a-secret-with-number-${number}-in-it`;
  for (let number = 0; number < 500; number += 1) {
    secrets.hide(nameOf(number));
    secrets.hide(nameOf(0));
  }
  assert.equal(scrubber.scrub(nameOf(499)), "[secret]");
  assert.equal(scrubber.scrub(nameOf(0)), "[secret]", "it passes by again and again");
  assert.equal(scrubber.scrub(nameOf(1)), nameOf(1));
});

test("what no secret of Feishu's looks like is not hidden: a client would choose what stands in logs", () => {
  const scrubber = new Scrubber();
  const secrets = new RecentSecrets(scrubber);
  for (const chosen of [
    "KEY_INVALID",
    "INSTANCE_BACKING_OFF",
    '"level":"info","timestamp":"2026',
    "2026-06-01T12:00:00",
    "/u/alice/feishu1/mcp",
  ]) {
    secrets.hide(chosen);
    assert.equal(scrubber.scrub(chosen), chosen);
  }
  for (const secret of [
    "dskLLdkasdjlasdKK0",
    "t-g1049oiTYLQ2BVJL5",
    "eyJhbGciOiJ.eyJzdWIi0.c2ln",
  ]) {
    secrets.hide(secret);
    assert.equal(scrubber.scrub(secret), "[secret]");
  }
});
