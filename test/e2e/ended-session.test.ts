import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
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
