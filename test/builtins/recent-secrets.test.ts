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

test("what is shorter than a secret of an app is not hidden: a client would choose what stands in logs", () => {
  const scrubber = new Scrubber();
  new RecentSecrets(scrubber).hide("KEY_INVALID");
  assert.equal(scrubber.scrub("KEY_INVALID"), "KEY_INVALID");
});
