import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Intake } from "../../../src/links/http1/intake.ts";
import { OutputShare } from "../../../src/platform/output-share.ts";
import { until } from "../../helpers/until.ts";
import { useOwnClock } from "../../helpers/own-clock.ts";

const FULL = 64 * 1024;

/** Time that goes on by what is handed on, and by nothing else. */
async function clock(t: TestContext) {
  // The turn that others have begun ends first.
  await nextTurn();
  let now = 1000;
  useOwnClock(t, () => now);
  return { spend: (ms: number) => (now += ms) };
}

/** A connection whose bytes cost so many ms a KiB. */
function connection(
  time: { spend: (ms: number) => void },
  options: { msPerKiB?: number; share?: OutputShare; onPush?: () => void } = {},
) {
  const { msPerKiB = 1, share = new OutputShare(), onPush } = options;
  const socket = {
    isStopped: false,
    pause: () => (socket.isStopped = true),
    resume: () => (socket.isStopped = false),
    isPaused: () => socket.isStopped,
  };
  const got: Buffer[] = [];
  const push = (bytes: Buffer): void => {
    got.push(bytes);
    time.spend((msPerKiB * bytes.length) / 1024);
    onPush?.();
  };
  const intake = new Intake({ socket, share, fullReadBytes: FULL, push });
  const textOf = (): string => Buffer.concat(got).toString("latin1");
  const size = (): number => got.reduce((sum, { length }) => sum + length, 0);
  return { intake, socket, share, got, textOf, size };
}

const letters = Array.from({ length: FULL }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");
const chunk = (size = FULL): Buffer => Buffer.from(letters.slice(0, size));

test("what ten connections bring in one turn is read in that turn until its time is over, and the rest in the next ones, each in its turn, whole and in order", async (t) => {
  const time = await clock(t);
  const all = Array.from({ length: 10 }, () => connection(time));
  const sizes = (): number[] => all.map(({ size }) => size());
  for (const { intake } of all) intake.read(chunk());
  assert.ok(sizes()[0]! > 0 && sizes()[0]! < FULL, "a part of the first");
  assert.deepEqual(sizes().slice(1), Array(9).fill(0), "one budget for all");
  for (const { intake, socket } of all) {
    assert.equal(socket.isStopped, true, "behind what is left waits its server");
    assert.equal(intake.hasMore, true);
  }
  const seen = new Set<number>();
  let before = sizes();
  let turns = 0;
  while (all.some(({ intake }) => intake.hasMore)) {
    const begun = performance.now();
    await nextTurn();
    turns += 1;
    assert.ok(performance.now() - begun < 3 + 8, "no turn takes longer than its time and a slice");
    sizes().forEach((size, i) => size > before[i]! && seen.add(i));
    if (turns === 9) assert.equal(seen.size, 9, "each had a turn before anybody had two");
    before = sizes();
  }
  for (const { socket, textOf } of all) {
    assert.equal(textOf(), letters);
    assert.equal(socket.isStopped, false);
  }
});

test("a short answer is read though the turn's time is over", async (t) => {
  const time = await clock(t);
  const flood = connection(time, { msPerKiB: 0.25 });
  flood.intake.read(chunk());
  assert.equal(flood.intake.hasMore, true);
  const neighbour = connection(time);
  neighbour.intake.read(chunk(1000));
  assert.equal(neighbour.size(), 1000);
  assert.equal(neighbour.socket.isStopped, false);
});

test("what costs little is handed on in one piece", async (t) => {
  const time = await clock(t);
  const { intake, got } = connection(time, { msPerKiB: 0.001 });
  for (let i = 0; i < 10; i++) intake.read(chunk());
  assert.deepEqual(
    got.slice(-5).map(({ length }) => length),
    Array(5).fill(FULL),
  );
});

test("a receiver that pauses in the middle of a read gets nothing more of it, until it resumes", async (t) => {
  const time = await clock(t);
  const one = connection(time, {
    msPerKiB: 0.01,
    onPush: () => one.got.length === 1 && one.intake.pause(),
  });
  one.intake.read(chunk());
  await nextTurn();
  assert.equal(one.got.length, 1);
  assert.equal(one.socket.isStopped, true);
  one.intake.resume();
  await until(() => !one.intake.hasMore, "the rest is read");
  assert.equal(one.textOf(), letters);
  assert.equal(one.socket.isStopped, false);
});

test("an end that comes while bytes wait comes after them, and after none that nobody wants", async (t) => {
  const time = await clock(t);
  const [one, two] = [connection(time), connection(time)];
  const ends: number[] = [];
  for (const { intake, size } of [one, two]) {
    intake.read(chunk());
    intake.whenRead(() => ends.push(size()));
  }
  two.intake.drop();
  assert.equal(ends.length, 0);
  await until(() => !one.intake.hasMore, "all is read");
  assert.deepEqual(ends, [FULL]);
  one.intake.whenRead(() => ends.push(0));
  assert.deepEqual(ends, [FULL, 0], "at once where nothing waits");
  assert.equal(two.size(), 0);
});

const readAll = async ({ intake }: { intake: Intake }, times: number) => {
  for (let i = 0; i < times; i++) {
    intake.read(chunk());
    for (let turns = 0; intake.hasMore && turns < 100; turns++) await nextTurn();
  }
};

test("a server that floods is read slowly on all its connections, and one whose answers had been asked for is not", async (t) => {
  const time = await clock(t);
  const asked = connection(time);
  asked.share.countAsked({
    get answeredBytes() {
      return asked.size();
    },
    inFlight: 0,
  });
  await readAll(asked, 40);
  assert.equal(asked.share.isFlooding, false);
  assert.equal(asked.size(), 40 * FULL);

  const flood = connection(time);
  await readAll(flood, 40);
  assert.equal(flood.share.isFlooding, true);
  const other = connection(time, { share: flood.share });
  other.intake.read(chunk(1000));
  await nextTurn();
  assert.equal(other.size(), 0, "it waits for a slow turn");
  await until(() => other.size() === 1000, "its slow turn comes");
});
