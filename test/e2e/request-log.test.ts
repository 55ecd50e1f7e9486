import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture, json } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

type Line = Record<string, string | number>;

const linesOf = (log: string): Line[] =>
  log
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);

test("the log has one line for each request, and neither a query nor a session id", async (t) => {
  const alice = await startForAlice(t, {
    echo: fixture("sse", "echo-sse"),
    web: fixture("http", "echo-sse"),
  });
  const { daemon, post } = alice;
  const { stream, endpoint } = await alice.sse("echo");
  await post(endpoint, call(1, "echo", { text: "private words" }), ["user-agent", "test/1.0"]);
  await until(() => stream.messages().length === 2, "the call is answered");
  const session = await alice.http("web");
  await post("/u/alice/web/mcp", call(2, "echo"), session);
  await post("/u/alice/web/mcp", "{", session);
  await ask(daemon.port, { path: "/u/alice/sse?token=mcps_wrong", headers: json });
  await ask(daemon.port, { path: "/u/bob/sse", headers: alice.auth });
  await ask(daemon.port, { path: "/health" });
  await ask(daemon.port, { path: "/nothing/here?q=1", headers: alice.auth });
  await ask(daemon.port, { path: "/u/alice/sse", headers: ["host", "evil.example"] });
  stream.close();
  const requests = () => linesOf(daemon.log()).filter(({ message }) => message === "request");
  await until(() => requests().length === 11, "every request is logged");
  const shown = requests().map(({ request, status_code, user, server, tool, code }) =>
    [request, status_code, user, server, tool, code].map((value) => value ?? "-").join(" "),
  );
  assert.deepEqual(shown.toSorted(), [
    "GET /health 200 - - - -",
    "GET /nothing/here 404 alice - - NOT_FOUND",
    "GET /u/alice/echo/sse 200 alice echo - -",
    "GET /u/alice/sse 401 - - - KEY_INVALID",
    "GET /u/alice/sse 403 - - - HOST_REFUSED",
    "GET /u/bob/sse 403 alice - - USER_MISMATCH",
    "POST /u/alice/echo/messages 202 alice echo - -",
    "POST /u/alice/echo/messages 202 alice echo echo -",
    "POST /u/alice/web/mcp 200 alice web - -",
    "POST /u/alice/web/mcp 200 alice web echo -",
    "POST /u/alice/web/mcp 400 alice web - REQUEST_INVALID",
  ]);
  const call1 = requests().find(({ user_agent }) => user_agent === "test/1.0")!;
  assert.match(String(call1["requestId"]), /^[0-9a-f]{8}-\w{7}$/);
  assert.equal(call1["remote_addr"], "127.0.0.1");
  assert.ok(Number(call1["execution_time_ms"]) >= 0);
  const ids = new Set(requests().map(({ requestId }) => requestId));
  assert.equal(ids.size, requests().length);
  const told = daemon.log();
  const [, sessionId] = /session_id=([\w-]+)/.exec(endpoint)!;
  for (const hidden of [sessionId!, session[1]!, "private words", "mcps_", "token-of-alice", "?"])
    assert.equal(told.includes(hidden), false, hidden);
});

test("a client that leaves before its answer is logged as one", async (t) => {
  const alice = await startForAlice(t, { slow: fixture("http", "never-ready") });
  const { daemon } = alice;
  const client = new AbortController();
  const leaving = fetch(`${daemon.origin}/u/alice/mcp`, {
    method: "POST",
    headers: { authorization: alice.auth[1]!, "content-type": "application/json" },
    body: call(1, "echo"),
    signal: client.signal,
  });
  const isAsked = async () => (await instancesOf(daemon))[0]?.state === "starting";
  await until(isAsked, "the request has reached the child's start");
  client.abort();
  await assert.rejects(leaving);
  await until(() => daemon.log().includes('"status_code":499'), "it is logged");
});
