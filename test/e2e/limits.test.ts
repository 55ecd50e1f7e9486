import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, fixture, initialize, json, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

test("streams beyond the user's share are refused with 429 on both fronts while all are in use, until one is closed", async (t) => {
  const rig = await startForAlice(
    t,
    { one: echoServer("sse"), two: echoServer("http") },
    { limits: { streamsPerUser: 2 } },
  );
  const { daemon, auth, post } = rig;
  const session = await rig.http("two");
  const { stream: events } = await rig.sse("two");
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

test("a client that leaks streams loses those that never carried a message, and no other client's go", async (t) => {
  const rig = await startForAlice(
    t,
    { one: echoServer("sse"), two: echoServer("http") },
    { limits: { streamsPerUser: 4 } },
  );
  const { daemon } = rig;
  const phone = await daemon.cli(["key", "issue", "alice", "--label", "phone"]);
  const headers = bearer(phone.json<{ secret: string }>().secret);
  const other = await EventStream.open(daemon.port, { path: "/u/alice/one/sse", headers });
  t.after(() => other.close());
  const { stream: inUse } = await rig.sse("one");
  const session = await rig.http("two");
  const leaked: EventStream[] = [];
  for (const path of ["/u/alice/two/mcp", "/u/alice/one/sse", "/u/alice/two/sse"].flatMap(
    (each) => [each, each],
  )) {
    leaked.push(await rig.stream(path, path.endsWith("mcp") ? session : []));
    assert.equal(leaked.at(-1)!.status, 200, path);
  }
  await until(() => leaked.slice(0, 4).every(({ isEnded }) => isEnded), "the first have ended");
  for (const stream of [...leaked.slice(4), inUse, other]) assert.equal(stream.isEnded, false);
});

for (const [limit, who, status, code] of [
  ["children", "bob", 503, "INSTANCE_LIMIT"],
  ["childrenPerUser", "alice", 429, "TOO_MANY_CHILDREN"],
] as const) {
  test(`a child beyond limits.${limit} is refused with ${status}, Retry-After and the reason, until one is idle`, async (t) => {
    const rig = await startForAlice(
      t,
      { one: fixture("http", "echo-sse"), two: fixture("http", "echo-sse") },
      { limits: { [limit]: 1 }, resumeWindow: "200ms" },
    );
    const { daemon, auth } = rig;
    const bob = bearer((await daemon.addUser("bob")).key.secret);
    const post = (path: string, body: string, headers: string[]) =>
      ask(daemon.port, { method: "POST", path, body, headers: [...headers, ...json] });
    const headers = [...auth, ...json, ...(await rig.http("one"))];
    const busy = await EventStream.open(daemon.port, {
      method: "POST",
      path: "/u/alice/one/mcp",
      headers,
      body: call(1, "sleep", { ms: 60_000 }),
    });
    t.after(() => busy.close());
    const next = () => post(`/u/${who}/two/mcp`, initialize(), who === "bob" ? bob : auth);
    const refused = await next();
    assert.equal(refused.status, status, refused.body);
    assert.match(String(refused.headers["retry-after"]), /^[1-9]\d*$/);
    const { error } = JSON.parse(refused.body) as {
      error: { message: string; data: { type: string } };
    };
    assert.equal(error.data.type, code);
    assert.match(error.message, new RegExp(`which is the limit \\(limits\\.${limit}\\)`));
    busy.close();
    await until(async () => (await next()).status === 200, "the idle child has given way");
    assert.equal((await instancesOf(daemon)).find(({ server }) => server === "one")?.pid, null);
  });
}

test("beyond limits.memory the child that nobody has used for the longest time is stopped first", async (t) => {
  const hungry = fixture("http", "hungry");
  const rig = await startForAlice(t, { one: hungry, two: hungry, three: hungry });
  const { daemon } = rig;
  const use = async (server: string) => {
    const session = await rig.http(server);
    return (amount: number) =>
      rig.post(`/u/alice/${server}/mcp`, call(1, "memory", { amount }), session);
  };
  const one = await use("one");
  await (
    await use("two")
  )(16);
  assert.equal((await one(160)).status, 200);
  const rows = async () =>
    Object.fromEntries((await instancesOf(daemon)).map((row) => [row.server, row]));
  const before = await rows();
  const [most, least] = ["one", "two"].map((server) => before[server]!.rssBytes!);
  const file = JSON.parse(readFileSync(daemon.configPath, "utf8")) as object;
  const memory = Math.round(most! + least! / 2);
  writeFileSync(daemon.configPath, JSON.stringify({ ...file, limits: { memory } }));
  assert.equal((await daemon.cli(["reload"])).code, 0);
  await rig.http("three");
  const after = await until(async () => {
    const found = await rows();
    return found["two"]!.pid === null ? found : undefined;
  }, "a child has given way");
  assert.match(after["two"]!.reason ?? "", /idle, and its memory was needed/);
  assert.equal(after["one"]!.state, "ready");
});
