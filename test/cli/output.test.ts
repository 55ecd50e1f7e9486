import assert from "node:assert/strict";
import { test } from "node:test";
import { instant, known, unreachedLines } from "../../src/cli/output.ts";

test("a sentence names what there is, and has no dash for what there is not", () => {
  assert.equal(known({ pid: 12, port: null, server: "mail" }), "pid 12, server mail");
  assert.equal(known({ pid: null }), "");
});

test("an instant is to the minute, in UTC", () => {
  assert.equal(instant(Date.UTC(2026, 10, 20, 19, 36, 59)), "2026-11-20 19:36Z");
  assert.equal(instant(null), "never");
});

test("a pod that was ended and cannot be reached is told with the time when it is over", () => {
  assert.deepEqual(unreachedLines(null), []);
  assert.match(
    unreachedLines(Date.UTC(2026, 5, 1, 12, 0, 9))[0]!,
    /may go on until 2026-06-01 12:00:09Z;/,
  );
});
