import assert from "node:assert/strict";
import { test } from "node:test";
import {
  expiryTone,
  parseInstant,
  parseLifetime,
  parseSince,
  untilText,
} from "../../src/cli/times.ts";

test("an instant is RFC 3339 or epoch seconds", () => {
  const expected = Date.UTC(2027, 0, 31, 12, 0, 0);
  for (const text of [
    "2027-01-31T12:00:00Z",
    "2027-01-31t12:00:00z",
    "2027-01-31 12:00:00Z",
    "2027-01-31T13:30:00+01:30",
    "2027-01-31T12:00:00.000Z",
    String(expected / 1_000),
  ])
    assert.equal(parseInstant(text), expected, text);
});

test("what is no instant is a usage error", () => {
  for (const text of [
    "",
    "tomorrow",
    "2027-01-31",
    "2027-01-31T12:00:00",
    "2027-13-31T12:00:00Z",
    "2027-02-30T25:00:00Z",
    "-5",
    "1e9",
  ])
    assert.throws(() => parseInstant(text), { code: "USAGE" }, text);
});

test("epoch milliseconds are told from epoch seconds", () => {
  assert.throws(() => parseInstant(String(Date.now())), { code: "USAGE", message: /milliseconds/ });
});

test("a lifetime is a whole number of seconds, minutes, hours or days", () => {
  assert.equal(parseLifetime("90d"), 90 * 86_400_000);
  assert.equal(parseLifetime("12h"), 12 * 3_600_000);
  assert.equal(parseLifetime("30m"), 30 * 60_000);
  assert.equal(parseLifetime("5s"), 5_000);
  for (const text of ["", "0d", "90", "d", "1.5h", "-1d", "90 d", "999999999d"])
    assert.throws(() => parseLifetime(text), { code: "USAGE" }, text);
});

test("a look back begins so long ago, at a midnight of this place, or at a time", () => {
  const now = new Date(2026, 10, 30, 12, 34, 56).getTime();
  assert.equal(parseSince("1h", now), now - 3_600_000);
  assert.equal(parseSince("today", now), new Date(2026, 10, 30).getTime());
  assert.equal(parseSince("yesterday", now), new Date(2026, 10, 29).getTime());
  assert.equal(parseSince("2026-11-01T00:00:00Z", now), Date.UTC(2026, 10, 1));
  assert.throws(() => parseSince("last week", now), {
    code: "USAGE",
    message: /1h or 2d.*yesterday/,
  });
});

test("an end is told by how far off it is, and stands out within a week of it", () => {
  const day = 86_400_000;
  assert.deepEqual(
    [null, 100 * day, 97 * day, 99 * day + 3_600_000 * 22].map((at) => untilText(at, 98 * day)),
    ["never", "in 2d", "1d ago", "in 1d"],
  );
  assert.deepEqual(
    [null, 106 * day, 104 * day, 98 * day].map((at) => expiryTone(at, 98 * day)),
    [undefined, undefined, "warning", "bad"],
  );
});
