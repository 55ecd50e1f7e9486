import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { meterIdleCores } from "../../src/engines/process/idle-cores.ts";
import { StartSlots } from "../../src/instances/start-slots.ts";
import { StartScheduler } from "../../src/instances/start-scheduler.ts";
import type { StartEnd } from "../../src/instances/start-slots.ts";
import type { Ref } from "../../src/instances/instance-types.ts";
import { until } from "../helpers/until.ts";

const never = new AbortController().signal;
const noRest = { restTimes: () => 0 };
const of = (user: string, server = "s"): Ref => ({ user, server, variant: "" });
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("starts beyond the limit wait and go in order of arrival", async () => {
  const slots = new StartSlots(2, noRest);
  const order: string[] = [];
  const take = async (name: string) => {
    const release = await slots.take(never);
    order.push(name);
    return release;
  };
  const starts = ["a", "b", "c", "d"].map(take);
  await settled();
  assert.deepEqual(order, ["a", "b"]);
  const releaseFirst = await starts[0]!;
  releaseFirst("well");
  releaseFirst("well");
  await settled();
  assert.deepEqual(order, ["a", "b", "c"]);
  (await starts[1]!)("well");
  await settled();
  assert.deepEqual(order, ["a", "b", "c", "d"]);
  for (const start of starts) (await start)("well");
});

test("one that gives up while it waits leaves the queue to the others", async () => {
  const slots = new StartSlots(1, noRest);
  const release = await slots.take(never);
  const leaving = new AbortController();
  const left = assert.rejects(slots.take(leaving.signal), /left/);
  const next = slots.take(never);
  leaving.abort(new Error("left"));
  await left;
  release("well");
  (await next)("well");
  await assert.rejects(slots.take(leaving.signal), /left/);
});

test("a slot rests after a start that failed, the longer the more failed in a row, and eight seconds at most", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 1000;
  t.mock.method(performance, "now", () => now);
  const slots = new StartSlots(1, { restTimes: (failedInARow) => 3 * failedInARow });
  const rests: number[] = [];
  for (const [tookMs, what] of [
    [100, "failed"],
    [100, "failed"],
    [100, "unknown"],
    [100, "failed"],
    [100, "well"],
    [100, "failed"],
    [4000, "failed"],
  ] as const) {
    const end = await slots.take(never);
    now += tookMs;
    end(what);
    let restMs = 0;
    const next = slots.take(never);
    const isOver = async () =>
      await Promise.race([next.then(() => true), settled().then(() => false)]);
    for (; !(await isOver()); restMs += 100) t.mock.timers.tick(100);
    rests.push(restMs);
    (await next)("unknown");
  }
  assert.deepEqual(rests, [300, 600, 0, 900, 0, 300, 8000]);
});

/** A start that is under way until its end is decided here. */
function startOf(turns: StartScheduler, ref: Ref, failures = 0, patienceMs?: number) {
  const decided = new EventEmitter();
  let isUnderWay = false;
  const start = () => {
    isUnderWay = true;
    return once(decided, "ready");
  };
  const wish = { failures, ...(patienceMs === undefined ? {} : { patienceMs }) };
  const outcome = turns.run(ref, never, start, wish);
  const done = outcome.catch(() => "failed");
  const end = (how: string) => async (): Promise<void> => {
    await settled();
    assert.ok(isUnderWay, `${ref.user} has its turn`);
    decided.emit(how, new Error("it does not start"));
    await done;
  };
  return {
    outcome,
    isUnderWay: () => isUnderWay,
    succeed: end("ready"),
    fail: end("error"),
  };
}

type Start = ReturnType<typeof startOf>;

test("starts after a failure go one at a time, and keep nobody else waiting", async () => {
  const turns = new StartScheduler(new StartSlots(2, noRest));
  const [retry, waiting] = [startOf(turns, of("alice"), 1), startOf(turns, of("bob"), 1)];
  const other = startOf(turns, of("carol"));
  await settled();
  assert.equal(turns.waiting, 1);
  await other.succeed();
  assert.equal(waiting.isUnderWay(), false);
  await retry.succeed();
  await waiting.succeed();
  assert.equal(turns.waiting, 0);
});

test("a server that starts for nobody is started one at a time too, until it does for one", async () => {
  const turns = new StartScheduler(new StartSlots(2, noRest));
  const users = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];
  // They come at once, before any has failed.
  const starts = users.map((user) => startOf(turns, of(user)));
  for (const start of starts.slice(0, 3)) await start.fail();
  const [gentle, next, ...others] = starts.slice(3) as [Start, Start, ...Start[]];
  await settled();
  assert.deepEqual([gentle.isUnderWay(), next.isUnderWay()], [true, false]);
  await startOf(turns, of("ivan", "another")).succeed();
  await gentle.succeed();
  // That it does for one lets all the others go on at once who came with it.
  const [third, ...rest] = others as [Start, ...Start[]];
  await settled();
  assert.deepEqual([next.isUnderWay(), third.isUnderWay()], [true, true]);
  for (const start of [next, third, ...rest]) await start.succeed();
  const both = [startOf(turns, of("judy")), startOf(turns, of("kim"))];
  await settled();
  for (const start of both) assert.ok(start.isUnderWay());
  for (const start of both) await start.succeed();
});

test("starts after a failure that fail in a row rest longer each time, up to forty-eight times as long as they took", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 1000;
  t.mock.method(performance, "now", () => now);
  const turns = new StartScheduler(new StartSlots(2, noRest));
  const rests: number[] = [];
  let start = startOf(turns, of("alice"), 1);
  while (rests.length < 6) {
    await settled();
    now += 100;
    const next = startOf(turns, of("alice"), 1);
    await start.fail();
    let restMs = 0;
    for (; !next.isUnderWay(); restMs += 100) {
      t.mock.timers.tick(100);
      await settled();
    }
    rests.push(restMs);
    start = next;
  }
  await start.succeed();
  assert.deepEqual(rests, [300, 600, 1200, 2400, 4800, 4800]);
});

test("who failed less often comes first among those who failed", async () => {
  const turns = new StartScheduler(new StartSlots(2, noRest));
  const [first, often, twice, lucky, luckless] = [
    startOf(turns, of("alice"), 9),
    startOf(turns, of("bob"), 9),
    startOf(turns, of("carol"), 2),
    startOf(turns, of("dave"), 1),
    startOf(turns, of("erin"), 1),
  ];
  for (const start of [first, lucky, luckless, twice, often]) await start.succeed();
});

test("who failed less often does not wait for the rest of one who failed more often, which goes on after that", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let now = 1000;
  t.mock.method(performance, "now", () => now);
  const passing = async (ms: number) => {
    now += ms;
    t.mock.timers.tick(ms);
    await settled();
  };
  const turns = new StartScheduler(new StartSlots(2, noRest));
  const often = startOf(turns, of("alice"), 9);
  const waiting = startOf(turns, of("bob"), 1);
  await passing(1000);
  await often.fail();
  await passing(0);
  assert.ok(waiting.isUnderWay(), "waited already");
  const asOften = startOf(turns, of("alice"), 9);
  await passing(1000);
  await waiting.succeed();
  await passing(1000);
  const late = startOf(turns, of("carol"), 2);
  await passing(0);
  assert.ok(late.isUnderWay(), "comes while it rests");
  await late.succeed();
  await passing(999);
  assert.equal(asOften.isUnderWay(), false);
  await passing(1);
  await asOften.succeed();
});

test("who waits longer for such a turn than it may is told to come again, and keeps nobody waiting", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const turns = new StartScheduler(new StartSlots(2, noRest));
  const first = startOf(turns, of("alice"), 1);
  const late = startOf(turns, of("bob"), 1, 3000);
  const next = startOf(turns, of("carol"), 1, 4000);
  await settled();
  t.mock.timers.tick(2999);
  await settled();
  assert.equal(turns.waiting, 2);
  const refused = assert.rejects(late.outcome, {
    code: "INSTANCE_BACKING_OFF",
    message: /^bob\/s: the child was not started within 3 s: .* one at a time/,
    retryAfterSeconds: 3,
  });
  t.mock.timers.tick(1);
  await refused;
  assert.equal(turns.waiting, 1);
  await first.succeed();
  await next.succeed();
});

test("one user's failures are not held against the server", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const turns = new StartScheduler(new StartSlots(2, noRest));
  for (let failures = 0; failures < 9; failures += 1) await startOf(turns, of("alice")).fail();
  const both = [startOf(turns, of("bob")), startOf(turns, of("carol"))];
  await settled();
  for (const start of both) assert.ok(start.isUnderWay());
  for (const start of both) await start.succeed();
});

test("a start that hangs loses its slot, so that it does not keep the others from starting", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const slots = new StartSlots(1, noRest);
  await slots.take(never);
  let isStarted = false;
  const next = slots.take(never).then((release) => {
    isStarted = true;
    return release;
  });
  t.mock.timers.tick(4999);
  await settled();
  assert.equal(isStarted, false);
  t.mock.timers.tick(1);
  (await next)("well");
});

test("starts that leave a core idle do not keep the next ones waiting, up to a bound", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  let idle = 0;
  const slots = new StartSlots(1, { idleCores: () => idle, restTimes: () => 0 });
  const releases: ((end: StartEnd) => void)[] = [];
  for (let start = 0; start < 12; start++)
    void slots.take(never).then((release) => releases.push(release));
  const look = async () => {
    t.mock.timers.tick(100);
    await settled();
    return releases.length;
  };
  await settled();
  assert.equal(releases.length, 1);
  assert.equal(await look(), 1, "the cores are busy");
  idle = 1.5;
  assert.equal(await look(), 2);
  idle = 0.9;
  assert.equal(await look(), 2, "less than a whole core");
  idle = 2;
  for (let looks = 0; looks < 20; looks++) await look();
  assert.equal(releases.length, 8, "eight times the count");
  for (const release of releases.splice(0, 7)) release("well");
  await settled();
  assert.equal(releases.length, 1, "no more at once than the count, unless a core is idle");
  while (slots.waiting > 0) {
    for (const release of releases) release("well");
    await settled();
  }
  t.mock.timers.tick(100);
});

test("cores that did nothing are counted from the last time on, and are never more than there are", async () => {
  const idleCores = meterIdleCores(2);
  assert.equal(idleCores(), 0, "nothing is known the first time");
  const before = readFileSync("/proc/stat", "latin1");
  await until(() => readFileSync("/proc/stat", "latin1") !== before, "the clock has ticked");
  const idle = idleCores();
  assert.ok(idle >= 0 && idle <= 2, String(idle));
});
