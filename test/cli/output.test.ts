import assert from "node:assert/strict";
import { test } from "node:test";
import { instant, known } from "../../src/cli/output.ts";

test("a sentence names what there is, and has no dash for what there is not", () => {
  assert.equal(known({ pid: 12, port: null, server: "mail" }), "pid 12, server mail");
  assert.equal(known({ pid: null }), "");
});

test("an instant is to the minute, in UTC", () => {
  assert.equal(instant(Date.UTC(2026, 10, 20, 19, 36, 59)), "2026-11-20 19:36Z");
  assert.equal(instant(null), "never");
});
