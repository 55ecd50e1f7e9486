import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

test("streams beyond the user's share are refused with 429 on both fronts, until one is closed", async (t) => {
  const rig = await startForAlice(
    t,
    { one: echoServer("sse"), two: echoServer("http") },
    { limits: { streamsPerUser: 2 } },
  );
  const { daemon, auth, post } = rig;
  const session = await rig.http("two");
  const events = await rig.stream("/u/alice/two/mcp", session);
  const { stream, endpoint } = await rig.sse("one");

  for (const [path, headers] of [
    ["/u/alice/one/sse", []],
    ["/u/alice/two/sse", []],
    ["/u/alice/two/mcp", session],
  ] as const) {
    const refused = await ask(daemon.port, { path, headers: [...auth, ...headers] });
    assert.equal(refused.status, 429, path);
    assert.match(String(refused.headers["retry-after"]), /^[1-9]\d*$/);
    assert.equal(refused.headers["content-type"], "application/json");
    const { error } = JSON.parse(refused.body) as {
      error: { code: number; type: string; message: string; requestId: string };
    };
    assert.deepEqual([error.code, error.type], [429, "TOO_MANY_STREAMS"]);
    assert.match(error.message, /2 streams are open, which is the limit/);
    assert.ok(error.requestId);
  }
  assert.equal((await rig.row("one")).sessions, 1, "a refused stream is no session");

  // Messages are no streams, and another user's streams are another user's.
  assert.equal((await post(endpoint, call(1, "echo", { message: "x" }))).status, 202);
  assert.equal((await post("/u/alice/two/mcp", rpc(2, "ping"), session)).status, 200);
  const bob = await daemon.addUser("bob");
  const other = await EventStream.open(daemon.port, {
    path: "/u/bob/one/sse",
    headers: bearer(bob.key.secret),
  });
  t.after(() => other.close());
  assert.equal(other.status, 200);

  events.close();
  const again = await until(async () => {
    const opened = await rig.stream("/u/alice/two/mcp", session);
    return opened.status === 200 ? opened : undefined;
  }, "the place of the closed stream is free");
  assert.equal(again.status, 200);
  assert.equal(stream.isEnded, false);
});
