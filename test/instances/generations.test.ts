import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { ChildServer } from "../../src/config/config.ts";
import type { Ended, Live } from "../../src/instances/supervisor.ts";
import { Pods, PretendEngine } from "../engines/pretend-engine.ts";
import { makeTimeSkippable } from "../helpers/skippable-time.ts";
import { openSupervisor, ref, targetOf } from "../helpers/supervisor.ts";
import { until } from "../helpers/until.ts";

const ONE = ref("alice", "one");
const WHY = "restarted for a new token";
const MINUTE_MS = 60_000;

/** A child that is ready, of a server that goes on with its calls for ten minutes. */
async function start(t: TestContext, more: object = {}, settings: object = {}) {
  const pods = new Pods();
  const engine = new PretendEngine(pods);
  const servers = { one: { command: "server", drainTimeout: "10m", ...more } };
  const { supervisor, config, logged } = openSupervisor(t, servers, settings, engine);
  const instance = supervisor.instance(ONE);
  const first = await instance.ensure();
  return {
    supervisor,
    instance,
    first,
    logged,
    /** So many of the starts that come next exit at once. */
    failStarts: (count: number) => {
      const real = engine.start.bind(engine);
      let left = count;
      t.mock.method(engine, "start", async (...args: Parameters<typeof real>) => {
        const running = await real(...args);
        if (left-- > 0) void [...pods.all].at(-1)!.end({ code: 1, signal: null });
        return running;
      });
    },
    killOldest: async () => await [...pods.all][0]!.end({ code: null, signal: "SIGKILL" }),
    /** From now on the server is another one. */
    change: (how: Partial<ChildServer>) => {
      config.servers["one"] = { ...(config.servers["one"] as ChildServer), ...how };
    },
    /** Which generations there are, in which state, with how many calls under way. */
    shown: () =>
      instance
        .parts()
        .map((part) => part.row())
        .map(({ generation, state, inFlight }) => `${generation} ${state} ${inFlight}`),
  };
}

const hasEnded = (live: Live): Promise<boolean> =>
  Promise.race([live.exited.then(() => true), new Promise<boolean>((r) => setImmediate(r, false))]);

const reasonOf = async ({ exited }: Live): Promise<Ended["reason"]> => (await exited).reason;

test("the old generation serves until the new one is ready, and then answers the calls that it has", async (t) => {
  const { instance, first, change, shown } = await start(t);
  first.work.begin();
  first.work.begin();
  instance.usage.inFlight = 2;
  change({ command: "silent" });
  const over = instance.handOver(WHY);
  await until(() => shown().length === 2, "the next one starts");
  assert.deepEqual([instance.live, await instance.ensure()], [first, first]);
  assert.deepEqual(shown(), ["1 ready 2", "2 starting 0"]);
  assert.deepEqual([instance.state, instance.row().generation], ["ready", 1]);

  change({ command: "server" });
  // What starts begins anew, for the same callers.
  await instance.handOver(WHY);
  await over;
  const second = instance.live!;
  assert.deepEqual([second.generation, await instance.ensure()], [3, second]);
  second.work.begin();
  instance.usage.inFlight = 3;
  assert.deepEqual(shown(), ["3 ready 1", "1 draining 2"]);

  first.work.end();
  assert.equal(await hasEnded(first), false);
  first.work.end();
  assert.equal(await reasonOf(first), `was ${WHY}`);
  await until(() => shown().length === 1, "nothing is left of it");
  assert.equal(await hasEnded(second), false);
});

test("a generation that has nothing to answer ends as soon as another one serves", async (t) => {
  const { instance, first } = await start(t);
  await instance.handOver(WHY);
  assert.equal(await reasonOf(first), `was ${WHY}`);
  assert.equal((await instance.ensure()).generation, 2);
});

test("calls that take longer than drainTimeout end with their generation, at once, which is told", async (t) => {
  const { supervisor, instance, first, logged } = await start(t, { drainTimeout: "1ms" });
  const cut: string[] = [];
  supervisor.events.on("cut-short", (event) => cut.push(event.ref.server));
  first.work.begin();
  await instance.handOver(WHY);
  assert.deepEqual(await first.exited, { reason: `was ${WHY}`, exit: null });
  assert.deepEqual(cut, ["one"]);
  const told = logged.map(({ message }) => String(message));
  assert.ok(told.includes("child: ended with 1 call under way"));
});

test("of those that were replaced the last four answer their calls, whatever changes meanwhile", async (t) => {
  const { instance, first } = await start(t);
  const replaced = [first];
  for (let change = 0; change < 5; change += 1) {
    const live = instance.live!;
    if (change > 0) replaced.push(live);
    live.work.begin();
    await instance.handOver(change === 4 ? "restarted: the config changed" : WHY);
  }
  assert.equal(await reasonOf(first), `was ${WHY}`);
  const others = await Promise.all(replaced.slice(1).map(hasEnded));
  assert.deepEqual([others, instance.live?.generation], [[false, false, false, false], 6]);
  replaced[4]!.work.end();
  assert.equal(await reasonOf(replaced[4]!), "was restarted: the config changed");
});

test("a child that dies while it drains takes its calls with it, and says why", async (t) => {
  const { supervisor, instance, first, killOldest, shown } = await start(t);
  const cut: string[] = [];
  supervisor.events.on("cut-short", (event) => cut.push(event.ref.server));
  first.work.begin();
  await instance.handOver(WHY);
  await killOldest();
  assert.equal(await reasonOf(first), "was killed by SIGKILL");
  await until(() => shown().length === 1, "nothing is left of it");
  assert.deepEqual([shown(), cut], [["2 ready 0"], []]);
});

test("a stop waits for nobody's answers, and ends both", async (t) => {
  const { instance, first, shown } = await start(t);
  first.work.begin();
  await instance.handOver(WHY);
  const second = instance.live!;
  await instance.stop("stopped by an admin");
  assert.deepEqual(shown(), ["2 stopped 0"]);
  assert.equal(await reasonOf(second), "was stopped by an admin");
  assert.equal(await reasonOf(first), `was ${WHY}`);
});

test("a stop ends the start of the next generation too, and it is not tried again", async (t) => {
  const { instance, first, change, shown } = await start(t);
  change({ command: "silent" });
  const over = assert.rejects(instance.handOver(WHY), { code: "INSTANCE_EXITED" });
  first.work.begin();
  await until(() => shown().length === 2, "the next one starts");
  await instance.stop("stopped by an admin");
  await over;
  assert.deepEqual(shown(), ["2 stopped 0"]);
  assert.equal(instance.row().reason, "stopped by an admin");
});

test("a restart is at once: it ends what serves and what drains", async (t) => {
  const { instance, first } = await start(t);
  first.work.begin();
  await instance.handOver(WHY);
  const second = instance.live!;
  second.work.begin();
  await instance.restart("restarted by an admin");
  assert.equal(await reasonOf(first), `was ${WHY}`);
  assert.equal(await reasonOf(second), "was restarted by an admin");
  assert.equal((await instance.ensure()).generation, 3);
});

test("what nobody has used for a minute is stopped, and started by the next message", async (t) => {
  const { supervisor, instance, first, shown } = await start(t);
  const real = performance.now.bind(performance);
  t.mock.method(performance, "now", () => real() + MINUTE_MS);
  await supervisor.renew({}, WHY);
  assert.equal(await reasonOf(first), "was stopped for a new token");
  assert.deepEqual(shown(), ["1 stopped 0"]);
  assert.equal((await instance.ensure()).generation, 2);
});

test("what has a call or a subscription is replaced, however long that lasts", async (t) => {
  const hold = { clear: () => {} };
  const busy = await start(t);
  const subscribed = await start(t);
  busy.first.work.begin();
  subscribed.instance.usage.holds.add(hold);
  const real = performance.now.bind(performance);
  t.mock.method(performance, "now", () => real() + 10 * MINUTE_MS);
  for (const { instance } of [busy, subscribed]) {
    await instance.handOver(WHY);
    assert.equal(instance.live?.generation, 2);
  }
  // What it is kept for is kept.
  assert.equal(subscribed.instance.usage.holds.size, 1);
});

test("an instance that is removed while it is handed over is no failure of the order", async (t) => {
  const { supervisor, instance, first, change, shown } = await start(t);
  first.work.begin();
  change({ command: "silent" });
  const over = supervisor.handOver(ONE, WHY);
  await until(() => shown().length === 2, "the next one starts");
  await supervisor.forget(ONE, "its session is over");
  await over;
  await assert.rejects(instance.ensure(), { code: "INSTANCE_NOT_FOUND" });
});

test("a next generation that fails leaves the old one serving, says so, and is tried again", async (t) => {
  const { skip, restore } = makeTimeSkippable();
  t.after(restore);
  const { supervisor, instance, first, change, shown } = await start(t);
  first.work.begin();
  change({ command: "ends" });
  const why = "the next one exited with code 3 before it was ready";
  await assert.rejects(instance.handOver(WHY), {
    code: "INSTANCE_EXITED",
    message: `alice/one: ${why}; the one before goes on serving`,
  });
  await until(() => shown().length === 1, "nothing is left of it");
  assert.deepEqual([instance.live, await instance.ensure()], [first, first]);
  const row = instance.row();
  assert.deepEqual(
    [row.state, row.generation, row.failures, row.reason],
    ["ready", 1, 0, `could not be replaced: ${why}`],
  );
  assert.ok(row.retryAt! > Date.now());
  assert.equal(supervisor.failuresOf(ONE)[0]?.reason, "exited with code 3 before it was ready");
  assert.deepEqual([...supervisor.failingServers()], []);

  skip(2_000);
  await until(() => supervisor.failuresOf(ONE).length === 2, "the second try has failed");
  assert.equal(instance.live, first);
  change({ command: "server" });
  skip(3_000);
  await until(() => instance.live !== first, "the third has not");
  assert.deepEqual([instance.row().reason, instance.row().retryAt], [null, null]);
  assert.equal(await hasEnded(first), false);
});

test("a next generation that exits once, though nothing but the token is another, is tried again at once", async (t) => {
  const { supervisor, instance, first, failStarts } = await start(t);
  failStarts(1);
  await supervisor.renewTokens({}, WHY);
  await supervisor.started({}, MINUTE_MS);
  assert.equal(instance.live?.generation, 3);
  assert.equal(await reasonOf(first), `was ${WHY}`);
  failStarts(2);
  await assert.rejects(instance.handOver(WHY), { code: "INSTANCE_EXITED" });
  assert.equal(instance.live?.generation, 3);
});

test("whoever sees to what failed has it tried at once", async (t) => {
  const { supervisor, instance, first, change } = await start(t);
  change({ command: "ends" });
  await assert.rejects(instance.handOver(WHY), { code: "INSTANCE_EXITED" });
  change({ command: "server" });
  supervisor.forgive({});
  await until(() => instance.live !== first && instance.live, "it is replaced");
});

test("the one that serves may die before the next is ready: then that is waited for", async (t) => {
  const { instance, first, change, killOldest } = await start(t);
  // It was of use, so that its end is no failure.
  instance.usage.answered = 1;
  change({ command: "ends" });
  await assert.rejects(instance.handOver(WHY), { code: "INSTANCE_EXITED" });
  change({ command: "server" });
  await killOldest();
  assert.equal(await reasonOf(first), "was killed by SIGKILL");
  assert.equal((await instance.ensure()).generation, 3);
  assert.equal(instance.row().reason, null);
});

/** The old one takes no call, but answers those it has; who comes waits for the new one. */
async function isReplacedInTurn({ instance, first, shown }: Awaited<ReturnType<typeof start>>) {
  first.work.begin();
  const over = instance.handOver(WHY);
  await until(() => instance.live === undefined, "it takes no more calls");
  const held = instance.ensure();
  assert.deepEqual(shown(), ["1 draining 0"]);
  assert.equal(await hasEnded(first), false);
  first.work.end();
  await over;
  assert.equal((await held).generation, instance.generation);
  assert.equal(await hasEnded(first), true);
  assert.equal(shown().length, 1);
}

test("without a place for two, messages are held until the old generation is done", async (t) => {
  await isReplacedInTurn(await start(t, {}, { limits: { children: 1 } }));
});

test('"overlap": false holds messages, and so does another sharing', async (t) => {
  await isReplacedInTurn(await start(t, { overlap: false }));
  const reshaped = await start(t);
  reshaped.change({ sharing: "user" });
  await isReplacedInTurn(reshaped);
});

test("a change while messages are held takes no call from the old generation either", async (t) => {
  const { instance, supervisor, first } = await start(t, { overlap: false });
  first.work.begin();
  const over = instance.handOver(WHY);
  await until(() => instance.live === undefined, "it takes no more calls");
  await supervisor.renewTokens({}, WHY);
  await instance.handOver("restarted: the config changed");
  await new Promise(setImmediate);
  assert.equal(await hasEnded(first), false);
  first.work.end();
  await over;
  assert.equal(await hasEnded(first), true);
  assert.equal(instance.live?.generation, instance.generation);
});

test("who is held waits for the calls of others no longer than for a start", async (t) => {
  const { skip, restore } = makeTimeSkippable();
  t.after(restore);
  const { instance, first } = await start(t, { overlap: false, startTimeout: "30s" });
  first.work.begin();
  const over = instance.handOver(WHY);
  await until(() => instance.live === undefined, "it takes no more calls");
  assert.equal(await hasEnded(first), false);
  skip(30_000);
  await over;
  assert.equal(await reasonOf(first), `was ${WHY}`);
  assert.equal(instance.live?.generation, 2);
});

test("a remote is spoken to with the new token at once, and goes on", async (t) => {
  const headers = { Authorization: "Bearer ${token}" };
  const { supervisor, tokens } = openSupervisor(t, {
    one: { url: "http://127.0.0.1:1/mcp", headers },
  });
  tokens.set("alice/one", "old");
  const first = await supervisor.ensure(ONE);
  tokens.set("alice/one", "new");
  void supervisor.renewTokens({}, WHY);
  assert.equal(targetOf(first).headers["Authorization"], "Bearer new");
  assert.equal(supervisor.instance(ONE).live, first);
  // A header that it needs cannot be filled, which ends it as any failed hand-over does.
  tokens.delete("alice/one");
  await supervisor.renewTokens({}, WHY);
  assert.equal(targetOf(first).headers["Authorization"], "Bearer new");
});
