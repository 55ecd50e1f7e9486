import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { recordHistory } from "../../src/operations/record-history.ts";
import type { HistoryParts } from "../../src/operations/record-history.ts";
import { Closers } from "../../src/platform/closers.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { Scrubber } from "../../src/telemetry/scrubber.ts";
import { temporaryStore } from "../helpers/store.ts";

const MINUTE = 60_000;
const START = Date.parse("2026-11-30T00:00:00Z");
const WEEK = 7 * 24 * 60;

/** A recorder whose clock the test turns; what it looks at is always there. */
function rig(t: TestContext) {
  const { store } = temporaryStore(t);
  const metrics = new Metrics({ perUser: false });
  const destination = { write: () => undefined };
  const supervisor = {
    counts: () => ({ ready: 3, "backing-off": 1 }),
    status: async () =>
      await Promise.resolve([
        { place: null, rssBytes: 5 },
        { place: null, rssBytes: null },
        { place: null, rssBytes: 6 },
      ]),
  } as unknown as HistoryParts["supervisor"];
  const log = createLogger("silent", { scrubber: new Scrubber(), destination });
  const parts: HistoryParts = { store, supervisor, metrics, sessions: { count: 7 }, log };
  t.after(() => metrics.close());
  const open = (): Closers => {
    const closers = new Closers();
    recordHistory(parts, closers);
    return closers;
  };
  const minute = async (): Promise<void> => {
    t.mock.timers.tick(MINUTE);
    for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
  };
  const call = (outcome: string, durationMs: number): void =>
    metrics.called({ user: "a", server: "s", tool: "x", outcome, durationMs });
  return { store, open, minute, call };
}

test("each minute leaves a row of what it was, and after a restart they go on", async (t) => {
  t.mock.timers.enable({ apis: ["Date", "setTimeout"], now: START + 100 });
  const { store, open, minute, call } = rig(t);
  let closers = open();
  for (const outcome of ["ok", "ok", "error", "cancelled"]) call(outcome, 100);
  await minute();
  await minute();
  await closers.close();
  await minute();
  closers = open();
  call("lost", 5);
  await minute();
  await closers.close();
  const rows = store.history.list(0, MINUTE);
  assert.deepEqual(
    rows.map(({ at, calls, errors }) => [at - START, calls, errors]),
    [
      [0, 4, 1],
      [MINUTE, 0, 0],
      [3 * MINUTE, 1, 1],
    ],
  );
  const { ready, backingOff, parked, memoryBytes, sessions, p50Ms } = rows[0]!;
  assert.deepEqual([ready, backingOff, parked, memoryBytes, sessions], [3, 1, 0, 11, 7]);
  assert.ok(p50Ms !== null && p50Ms >= 100 && p50Ms <= 110);
  assert.equal(rows[1]?.p99Ms, null);
});

test("no more rows are kept than eight days have minutes, whichever way the clock is set", (t) => {
  const { store } = temporaryStore(t);
  const empty = { stopped: 0, starting: 0, ready: 1, draining: 0, backingOff: 0, parked: 0 };
  const add = (minute: number, calls = 1): void => {
    const at = START + minute * MINUTE;
    const row = { ...empty, at, memoryBytes: minute, sessions: 0, calls, errors: 0 };
    store.history.add({ ...row, p50Ms: 1, p99Ms: minute }, at - 8 * 24 * 60 * MINUTE);
  };
  for (let minute = 0; minute <= WEEK + 2 * 24 * 60; minute += 60) add(minute);
  const all = store.history.list(0, MINUTE);
  assert.equal(all.length, 8 * 24 + 1);
  assert.equal(all[0]!.at, START + 24 * 60 * MINUTE);
  add(WEEK);
  assert.equal(store.history.list(0, MINUTE).at(-1)!.at, START + WEEK * MINUTE);
  assert.equal(store.history.list(0, MINUTE).at(-1)!.calls, 2, "the same minute once more");
  const days = store.history.list(START + 5 * 24 * 60 * MINUTE, 24 * 60 * MINUTE);
  assert.deepEqual(
    days.map(({ calls, memoryBytes }) => [calls, memoryBytes / 60]),
    [
      [24, 6 * 24 - 1],
      [24, 7 * 24 - 1],
      [2, 7 * 24],
    ],
  );
});
