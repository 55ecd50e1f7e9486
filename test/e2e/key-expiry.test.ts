import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;

test("when a key's time comes, what was opened with it ends, calls and sessions too; other keys' streams go on", async (t) => {
  const servers = { one: echoServer("sse"), two: echoServer("http") };
  const env = { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` };
  const rig = await startForAlice(t, servers, {}, { env });
  const { daemon, stats, row } = rig;
  const own = await rig.sse("one");
  const session = await rig.http("two");

  const issued = await daemon.cli(["key", "issue", "alice", "--expires", "1m"]);
  const auth = bearer(issued.json<{ secret: string }>().secret);
  const open = async (path: string, headers: string[] = []): Promise<EventStream> => {
    const stream = await EventStream.open(daemon.port, { path, headers: [...auth, ...headers] });
    t.after(() => stream.close());
    return stream;
  };
  const post = (path: string, body: string, headers: string[] = []) =>
    ask(daemon.port, { method: "POST", path, body, headers: [...auth, ...json, ...headers] });

  const sse = await open("/u/alice/one/sse");
  const endpoint = await until(() => sse.endpoint, "the endpoint has come");
  assert.equal((await post(endpoint, initialize())).status, 202);
  const begun = await post("/u/alice/two/mcp", initialize());
  const mine = ["mcp-session-id", String(begun.headers["mcp-session-id"])];
  const events = await open("/u/alice/two/mcp", mine);
  assert.deepEqual([sse.status, events.status], [200, 200]);
  const slow = post("/u/alice/two/mcp", call(1, "sleep", { ms: 60_000, message: "late" }), mine);
  const lost = assert.rejects(slow, "the call's connection is closed");
  assert.equal((await stats("one"))["openSse"], 2);

  process.kill(daemon.pid, "SIGUSR2");
  await until(() => sse.isEnded && events.isEnded, "the streams have ended");
  await lost;
  await until(async () => (await stats("one"))["openSse"] === 1, "the stream at the child too");
  await until(async () => (await row("two")).inFlight === 0, "nothing is in flight");
  assert.equal((await post(endpoint, initialize())).status, 401);
  // The session was opened with a key that has ended, so another key of the same user does not revive it.
  assert.equal((await rig.post("/u/alice/two/mcp", call(2, "echo"), mine)).status, 404);

  assert.equal(own.stream.isEnded, false);
  assert.equal((await rig.post(own.endpoint, call(3, "echo", { message: "x" }))).status, 202);
  const ping = call(4, "echo", { message: "x" });
  assert.equal((await rig.post("/u/alice/two/mcp", ping, session)).status, 200);
});
