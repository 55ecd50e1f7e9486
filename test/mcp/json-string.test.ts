import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as check, boolean, constantFrom, nat, oneof, property } from "fast-check";
import { endOfString, isEscapedAt } from "../../src/mcp/json-string.ts";

/** As anybody would write it. */
function byByte(text: string, from: number, to: number, isEscaped: boolean) {
  let escaped = isEscaped;
  for (let at = from; at < to; at++) {
    if (escaped) escaped = false;
    else if (text[at] === "\\") escaped = true;
    else if (text[at] === '"') return { end: at, isEscaped: false };
  }
  return { end: to, isEscaped: escaped };
}

/** Texts in which quotes are near and far, escaped and not. */
const texts = array(
  oneof(
    constantFrom('"', "\\", '\\"', "\\\\", "x"),
    nat(80).map((length) => "x".repeat(length)),
    nat(80).map((length) => "\\".repeat(length)),
  ),
  { maxLength: 12 },
).map((parts) => parts.join(""));

test("the end of a string is where it is byte by byte, wherever it is cut", () => {
  check(
    property(texts, nat(), nat(), boolean(), (text, a, b, isEscaped) => {
      const to = a % (text.length + 1);
      const from = b % (to + 1);
      const bytes = Buffer.from(text);
      const wanted = byByte(text, from, to, isEscaped);
      const end = from === to ? to : endOfString(bytes, from, to, isEscaped);
      assert.equal(end, wanted.end);
      if (end === to)
        assert.equal(
          isEscapedAt(bytes, from, to, isEscaped),
          wanted.isEscaped,
          JSON.stringify(text),
        );
    }),
    { numRuns: 5_000 },
  );
});

test("a quote far off ends the string, and one behind an odd number of backslashes does not", () => {
  const far = "x".repeat(1000);
  const bytes = Buffer.from(`${far}\\\\\\"${far}\\\\"${far}"`);
  assert.equal(endOfString(bytes, 0, bytes.length), 1000 + 4 + 1000 + 2);
});
