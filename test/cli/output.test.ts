import assert from "node:assert/strict";
import { test } from "node:test";
import {
  duration,
  instant,
  known,
  mebibytes,
  printable,
  span,
  table,
} from "../../src/cli/output.ts";

test("a table has columns as wide as their widest cell and no trailing blanks", () => {
  assert.deepEqual(
    table(
      ["USER", "STATE"],
      [
        ["alice", "enabled"],
        ["bo", ""],
      ],
    ),
    ["USER   STATE", "alice  enabled", "bo"],
  );
});

test("a child's text cannot steer the admin's terminal", () => {
  assert.equal(printable("\u001b[2Jhi\r\n\u009b31m\u0007"), "\\x1b[2Jhi\\x0d\\x0a\\x9b31m\\x07");
  assert.equal(printable("tab\tand ü 中 stay"), "tab\tand ü 中 stay");
  assert.deepEqual(table(["A"], [["\u001b]0;title\u0007"]]), ["A", "\\x1b]0;title\\x07"]);
});

test("a sentence names what there is, and has no dash for what there is not", () => {
  assert.equal(known({ pid: 12, port: null, server: "mail" }), "pid 12, server mail");
  assert.equal(known({ pid: null }), "");
});

test("times, spans and sizes are short", () => {
  assert.equal(instant(Date.UTC(2026, 10, 20, 19, 36, 59)), "2026-11-20 19:36Z");
  assert.equal(instant(null), "never");
  assert.deepEqual([0, 59.9, 60, 3_599, 3_600, 90_000].map(span), [
    "0s",
    "59s",
    "1m",
    "59m",
    "1h",
    "1d",
  ]);
  assert.equal(mebibytes(64 * 1024 ** 2), "64M");
  assert.equal(mebibytes(12_000), "12K");
  assert.equal(mebibytes(null), "-");
  assert.deepEqual([12.34, 1500, 90_000].map(duration), ["12.3 ms", "1.5 s", "1m"]);
});
