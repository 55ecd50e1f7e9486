import assert from "node:assert/strict";
import { test } from "node:test";
import {
  durationText,
  parseDuration,
  roughDuration,
  spokenDuration,
  timeTaken,
} from "../../src/platform/durations.ts";

test("a duration is read and written in the same words", () => {
  for (const text of ["250ms", "30s", "15m", "2h", "7d"])
    assert.equal(durationText(parseDuration(text)!), text);
  assert.equal(parseDuration("90s"), 90_000);
  assert.equal(durationText(90_000), "90s");
});

test("what is no whole number with a unit is no duration", () => {
  for (const text of ["", "15", "1.5h", "-1s", "15M", "1s ", "1 s"])
    assert.equal(parseDuration(text), undefined, text);
});

test("in a table a duration is its largest whole unit", () => {
  const shown = ["0s", "59s", "1m", "59m", "1h", "1d"];
  assert.deepEqual([0, 59.9, 60, 3_599, 3_600, 90_000].map(roughDuration), shown);
});

test("milliseconds are shown only where something took so short", () => {
  assert.deepEqual([12.34, 1500, 90_000].map(timeTaken), ["12.3 ms", "1.5 s", "1m"]);
});

test("in a sentence a duration is in the unit that people would use", () => {
  const shown = ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"];
  const seconds = [0.4, 119, 120, 7_140, 7_200, 169_200, 172_800];
  assert.deepEqual(
    seconds.map((each) => spokenDuration(each * 1000)),
    shown,
  );
});
