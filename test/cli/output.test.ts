import assert from "node:assert/strict";
import { test } from "node:test";
import { instant, known, printable, table } from "../../src/cli/output.ts";

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

test("an instant is to the minute, in UTC", () => {
  assert.equal(instant(Date.UTC(2026, 10, 20, 19, 36, 59)), "2026-11-20 19:36Z");
  assert.equal(instant(null), "never");
});
