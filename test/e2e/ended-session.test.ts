import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture, initialize } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

test("a call under way is answered when its own client ends the session", async (t) => {
  const rig = await startForAlice(t, { one: fixture("sse", "echo-sse") });
  const session = await rig.http("one");
  const body60 = call("late", "sleep", { ms: 60_000 });
  const answer = rig.post("/u/alice/one/mcp", body60, session);
  await until(async () => (await rig.row("one")).inFlight === 1, "the call is under way");
  const path = "/u/alice/one/mcp";
  await ask(rig.daemon.port, { method: "DELETE", path, headers: [...rig.auth, ...session] });
  const { status, body } = await answer;
  assert.equal(status, 404);
  assert.match(body, /"id":"late","error":.*"SESSION_NOT_FOUND"/);
});

test("a session whose server ends its stream before it has answered initialize is kept by nobody", async (t) => {
  const remote = await record(t, ({ method }, res) => {
    const isTaken = method === "POST";
    const leave = (): void => remote.streams.forEach((stream) => stream.end());
    if (isTaken) res.writeHead(202).end("Accepted", leave);
    return isTaken;
  });
  const rig = await startForAlice(t, { one: { type: "sse", url: `${remote.origin}/sse` } });
  const { status, body } = await rig.post("/u/alice/one/mcp", initialize());
  assert.equal(status, 502);
  assert.match(body, /"UPSTREAM_RESET"/);
  await until(async () => (await rig.row("one")).sessions === 0, "it is counted no more");
});
