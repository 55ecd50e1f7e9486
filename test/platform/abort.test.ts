import assert from "node:assert/strict";
import { test } from "node:test";
import { aborted, onAbort, passed } from "../../src/platform/abort.ts";

test("who waits for an abort is told once, and at once where it has happened", () => {
  const ends = new AbortController();
  const told: string[] = [];
  onAbort(ends.signal, () => told.push("before"));
  ends.abort();
  ends.abort();
  onAbort(ends.signal, () => told.push("after"));
  assert.deepEqual(told, ["before", "after"]);
});

test("who was forgotten is not told", () => {
  const ends = new AbortController();
  const forget = onAbort(ends.signal, () => assert.fail("told"));
  forget();
  ends.abort();
});

test("an abort rejects with its reason, whatever was waited for", async () => {
  const ends = new AbortController();
  const reason = new Error("over");
  const waiting = [aborted(ends.signal), passed(1_000_000, ends.signal)];
  ends.abort(reason);
  for (const outcome of await Promise.allSettled(waiting))
    assert.deepEqual(outcome, { status: "rejected", reason });
});

test("a time that passes first is no abort", async () => {
  const ends = new AbortController();
  await passed(1, ends.signal);
  ends.abort();
});
