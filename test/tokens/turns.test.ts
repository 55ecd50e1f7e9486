import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../src/tokens/turns.ts";
import { NEVER } from "./rig.ts";

const settled = (): Promise<void> => new Promise(setImmediate);

test("no more than twenty turns begin in a second, and a message's before those of the plan", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const turns = new Turns();
  const begun: { who: string; at: number }[] = [];
  let now = 0;
  const take = async (who: string): Promise<void> => {
    const giveBack = await turns.take(who === "message", NEVER);
    begun.push({ who, at: now });
    giveBack();
  };
  for (let plan = 0; plan < 300; plan += 1) void take("plan");
  void take("message");
  for (; begun.length < 301; now += 10) {
    await settled();
    t.mock.timers.tick(10);
  }
  assert.equal(begun[1]!.who, "message");
  for (const [index, { at }] of begun.entries())
    if (index >= 20) assert.ok(at - begun[index - 20]!.at >= 1000);
});

test("four turns are under way at once, and one that is waited for no more is given to nobody", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const turns = new Turns();
  const leaving = new AbortController();
  const given: (() => void)[] = [];
  const take = async (signal: AbortSignal): Promise<void> =>
    void given.push(await turns.take(false, signal));
  for (let n = 0; n < 4; n += 1) void take(NEVER);
  const left = take(leaving.signal);
  void take(NEVER);
  for (let tick = 0; tick < 20; tick += 1) {
    t.mock.timers.tick(50);
    await settled();
  }
  assert.equal(given.length, 4);
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  given[0]!();
  await settled();
  assert.equal(given.length, 5);
});
