import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { FIXTURE } from "../conformance/fixture.ts";
import { startForAlice } from "../helpers/alice.ts";
import { Conversation } from "../helpers/conversation.ts";
import type { Place } from "../helpers/conversation.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { call, rpc } from "../helpers/fixtures.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const ECHO = fileURLToPath(new URL("../../bench/echo-stdio.mjs", import.meta.url));
const stdio = (more: object = {}) => ({ command: process.execPath, args: [ECHO], ...more });

test("a session over a stdio child outlives it: calls under way fail by their ids, the next ones work", async (t) => {
  const rig = await startForAlice(t, { one: stdio() });
  const { post } = rig;
  const { stream, endpoint } = await rig.sse("one");
  const session = await rig.http("one");
  const { pid } = await rig.row("one");
  await post(endpoint, call("slow", "sleep", { ms: 60_000 }));
  const slow = post("/u/alice/one/mcp", call("slow", "sleep", { ms: 60_000 }), session);
  await until(async () => (await rig.row("one")).inFlight === 2, "both calls are under way");
  const behind = await post("/u/alice/one/mcp", call("behind", "echo", { message: "x" }), session);
  assert.match(behind.body, /Echo: x/, "the child has read them");

  process.kill(pid, "SIGKILL");
  const failed = await slow;
  assert.match(failed.body, /"id":"slow".*was killed by SIGKILL/);
  const answerTo = (id: string) =>
    until(() => stream.messages().find((message) => message.id === id), `${id} is answered`);
  assert.match((await answerTo("slow")).error?.message ?? "", /was killed by SIGKILL/);

  assert.equal((await post(endpoint, call("next", "echo", { message: "a" }))).status, 202);
  assert.match(JSON.stringify((await answerTo("next")).result), /Echo: a/);
  const next = await post("/u/alice/one/mcp", call(2, "echo", { message: "b" }), session);
  assert.equal(next.status, 200);
  assert.match(next.body, /Echo: b/);
  assert.equal(stream.messages().filter(({ id }) => id === "slow").length, 1);
  assert.equal(stream.isEnded, false);
  assert.notEqual((await rig.row("one")).pid, pid);
});

for (const [front, otherFront] of [
  ["sse", "mcp"],
  ["mcp", "sse"],
] as const) {
  test(`a session at /${front} that only listens hears the next child after a crash, and is told what it may have missed`, async (t) => {
    const one = { command: process.execPath, args: ["--no-warnings", FIXTURE, "--stdio"] };
    const daemon = await startDaemon(t, { config: { servers: { one }, resumeWindow: "200ms" } });
    const { secret } = (await daemon.addUser("alice")).key;
    const place = { origin: daemon.origin, user: "alice", secret, server: "one" };
    const open = async (at: Place["front"]) => {
      const opened = await Conversation.open({ ...place, front: at });
      t.after(() => opened.close());
      return opened;
    };
    const [silent, leaver, speaker] = [
      await open(front),
      await open(front),
      await open(otherFront),
    ];
    const [watched, left] = ["test://watched-resource", "test://static-text"];
    await silent.request("level", "logging/setLevel", { level: "info" });
    await silent.request("on", "resources/subscribe", { uri: watched });
    await leaver.request("on", "resources/subscribe", { uri: left });
    const row = async () => (await instancesOf(daemon))[0]!;
    const update = async (id: string, uri: string) =>
      await speaker.call(id, "test_update_resource", { uri });

    for (const round of [1, 2]) {
      const before = silent.received.length;
      const { pid } = await row();
      process.kill(pid!, "SIGKILL");
      await until(async () => (await row()).pid !== pid, "the child is gone");
      if (round === 1) {
        await leaver.end();
        await until(async () => (await row()).sessions === 2, "its session is over");
      }
      assert.equal(await update(`u${round}`, watched), "Told.");
      await speaker.call(`t${round}`, "test_trigger_tool_change");
      await speaker.call(`l${round}`, "test_tool_with_logging");
      const heard = () =>
        silent.received.slice(before).filter(({ method }) => method !== undefined);
      const count = (method: string) =>
        heard().filter((message) => message.method === method).length;
      await until(() => count("notifications/message") === 3, "all three lines are heard");
      // The gateway's own, since there may have been a change in between, and that of the child.
      assert.equal(count("notifications/resources/updated"), 2);
      assert.ok(count("notifications/tools/list_changed") > 0);
      assert.equal(await update(`n${round}`, left), "Nobody watches.");
    }
  });
}

test("an idle child is stopped under open sessions, a ping is answered without it, a call brings it back", async (t) => {
  const rig = await startForAlice(t, { one: stdio({ idleTimeout: "300ms" }) });
  const { post } = rig;
  const { stream, endpoint } = await rig.sse("one");
  const session = await rig.http("one");
  await until(async () => (await rig.row("one")).pid === null, "the child is stopped");
  assert.equal((await post(endpoint, rpc("ping", "ping"))).status, 202);
  await until(() => stream.messages().some(({ id }) => id === "ping"), "the gateway has answered");
  const ping = await post("/u/alice/one/mcp", rpc(7, "ping"), session);
  assert.deepEqual(JSON.parse(ping.body), { jsonrpc: "2.0", id: 7, result: {} });
  assert.equal((await rig.row("one")).pid, null);
  const called = await post("/u/alice/one/mcp", call(8, "echo", { message: "x" }), session);
  assert.match(called.body, /Echo: x/);
  await post(endpoint, call("y", "echo", { message: "y" }));
  await until(
    () => stream.messages().some(({ id }) => id === "y"),
    "the other session goes on too",
  );
});

test("a stateful server's sessions end with the child, over stdio too", async (t) => {
  const rig = await startForAlice(t, { one: stdio({ stateful: true }) });
  const { stream } = await rig.sse("one");
  const session = await rig.http("one");
  process.kill((await rig.row("one")).pid, "SIGKILL");
  await until(() => stream.isEnded, "the stream ends");
  const late = await rig.post("/u/alice/one/mcp", call(1, "echo"), session);
  assert.equal(late.status, 404);
});
