import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { call, fixture, initialize, rpc } from "../helpers/fixtures.ts";
import type { EventStream } from "../helpers/raw-http.ts";
import { ask as askRaw } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

interface Session {
  stream: EventStream;
  post: (body: string) => Promise<number>;
}

async function open(t: TestContext, rig: Alice, server: string): Promise<Session> {
  const stream = await rig.stream(`/u/alice/${server}/sse`);
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  t.after(() => stream.close());
  return { stream, post: async (body) => (await rig.post(endpoint, body)).status };
}

/** What so many messages of a stream say, once they are there. */
async function told(stream: EventStream, count: number): Promise<unknown[][]> {
  await until(() => stream.messages().length >= count, "the client is told");
  return stream.messages().map(({ id, error }) => [id, error?.code, error?.data?.type]);
}

const DEAD = "http://127.0.0.1:1";

test("an SSE client is told on its stream what its server or the machine cannot do, whatever the server is", async (t) => {
  const rig = await startForAlice(
    t,
    {
      "stdio-false": { command: "/bin/false" },
      "stdio-none": { command: "/no/such/program" },
      "sse-crash": fixture("sse", "crash-on-start"),
      "http-mute": fixture("http", "never-ready"),
      "remote-sse": { url: `${DEAD}/sse` },
      "remote-http": { url: `${DEAD}/mcp` },
      tokenless: { url: `${DEAD}/mcp`, headers: { Authorization: "Bearer ${token}" } },
    },
    { startTimeout: "1s" },
  );
  await rig.daemon.cli(["token", "clear", "alice"]);
  const expected = {
    "stdio-false": [502, "INSTANCE_EXITED"],
    "stdio-none": [502, "INSTANCE_SPAWN_FAILED"],
    "sse-crash": [502, "INSTANCE_EXITED"],
    "http-mute": [504, "INSTANCE_START_TIMEOUT"],
    "remote-sse": [502, "UPSTREAM_REFUSED"],
    "remote-http": [502, "UPSTREAM_REFUSED"],
    tokenless: [503, "TOKEN_MISSING"],
  };
  for (const [server, refusal] of Object.entries(expected)) {
    const { stream, post } = await open(t, rig, server);
    assert.equal(await post(initialize("hello")), 202, server);
    assert.deepEqual(await told(stream, 1), [["hello", ...refusal]], server);
  }
});

test("each request of a batch is told by its own id, and what is no request has its status", async (t) => {
  const rig = await startForAlice(t, { one: fixture("sse", "crash-on-start") });
  const { stream, post } = await open(t, rig, "one");
  const note = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
  const batch = [initialize("hello"), call(1, "echo"), note, rpc("two", "tools/list")];
  assert.equal(await post(`[${batch.join()}]`), 202);
  assert.deepEqual(
    (await told(stream, 3)).map(([id]) => id),
    ["hello", 1, "two"],
  );
  const status = await post(note);
  assert.ok(status === 502 || status === 503, `a notification is refused by status, not ${status}`);
  assert.equal(await post("{"), 400);
  assert.equal(stream.messages().length, 3);
});

test("what is wrong with the POST itself keeps its status, and is told nowhere else", async (t) => {
  const rig = await startForAlice(t, { one: fixture("sse", "echo-sse") });
  const { stream, endpoint } = await rig.sse("one");
  const slow = call("slow", "sleep", { ms: 60_000 });
  assert.equal((await rig.post(endpoint, slow)).status, 202);
  const key = rig.auth[1]!;
  const wrong = `${key.slice(0, -1)}${key.endsWith("x") ? "y" : "x"}`;
  const ask = (path: string, body: string, headers: string[] = []) =>
    rig.post(path, body, headers).then(({ status }) => status);
  assert.equal(await ask(endpoint, slow), 400, "an id in use");
  assert.equal(await ask(endpoint, "{"), 400, "no JSON");
  assert.equal(await ask(endpoint.replace(/.$/, "-"), call(1, "echo")), 404, "another session");
  const unlocked = await askRaw(rig.daemon.port, {
    method: "POST",
    path: endpoint,
    headers: ["authorization", wrong, "content-type", "application/json"],
    body: call(1, "echo"),
  });
  assert.equal(unlocked.status, 401, "a wrong key");
  assert.equal(await ask(endpoint, call("after", "echo")), 202);
  await until(() => stream.messages().some(({ id }) => id === "after"), "the session goes on");
  assert.deepEqual(
    stream.messages().map(({ id, error }) => [id, error]),
    [
      ["hello", undefined],
      ["after", undefined],
    ],
  );
});

test("a user who has too many children is told so on the stream", async (t) => {
  const one = fixture("sse", "echo-sse");
  const limits = { childrenPerUser: 1 };
  const rig = await startForAlice(
    t,
    { one, two: one, three: fixture("http", "echo-sse") },
    { limits },
  );
  const busy = await rig.sse("one");
  assert.equal((await rig.post(busy.endpoint, call(1, "sleep", { ms: 60_000 }))).status, 202);
  for (const server of ["two", "three"]) {
    const { stream, post } = await open(t, rig, server);
    assert.equal(await post(initialize("hello")), 202, server);
    assert.deepEqual(await told(stream, 1), [["hello", 429, "TOO_MANY_CHILDREN"]], server);
  }
});

test("such a refusal counts as one in log, audit, metrics and doctor, with its code and not as 202", async (t) => {
  const rig = await startForAlice(t, { one: fixture("sse", "crash-on-start") });
  const { stream, post } = await open(t, rig, "one");
  assert.equal(await post(`[${initialize("hello")},${call(1, "echo")}]`), 202);
  await told(stream, 2);
  const { requestId } = stream.messages()[0]!.error!.data!;
  const line = await until(
    () =>
      rig.daemon
        .log()
        .split("\n")
        .find((text) => text.includes(requestId) && text.includes('"message":"request"')),
    "the log has the request",
  );
  const { status_code: status, code } = JSON.parse(line) as { status_code: number; code: string };
  assert.deepEqual([status, code], [502, "INSTANCE_EXITED"]);

  const audit = await until(async () => {
    const done = await rig.daemon.cli(["audit", "alice"]);
    const { entries } = done.json<{ entries: { kind: string; what: string; outcome: string }[] }>();
    return entries.find(({ kind }) => kind === "call");
  }, "the call has its row");
  assert.deepEqual([audit.what, audit.outcome], ["echo", "refused"]);

  const doctor = (await rig.daemon.cli(["doctor", "--request", requestId])).json<{
    request: { status: number; code: string };
  }>();
  assert.deepEqual([doctor.request.status, doctor.request.code], [502, "INSTANCE_EXITED"]);
  const metrics = await rig.daemon.cli(["doctor", "alice"], { isForPeople: true });
  assert.doesNotMatch(metrics.stdout, /nothing is wrong/);
});

for (const [how, padding] of [
  ["in one piece", ""],
  ["in many pieces", `"pad":"${"x".repeat(200_000)}",`],
]) {
  test(`an answer that comes after its request was refused is dropped, ${how}, and the next one is not`, async (t) => {
    // It takes the message and breaks the connection: nobody knows whether the call was made.
    const remote = await record(t, ({ body }, res) =>
      body.includes('"late"') ? void res.destroy() : false,
    );
    const rig = await startForAlice(t, { one: { url: `${remote.origin}/sse` } });
    const { stream, post } = await open(t, rig, "one");
    assert.equal(await post(initialize("hello")), 202);
    await told(stream, 1);
    assert.equal(await post(call("late", "echo")), 202);
    await told(stream, 2);
    const [server] = remote.streams;
    server!.write(`data: {${padding}"jsonrpc":"2.0","id":"late","result":{"n":1}}\n\n`);
    assert.equal(await post(call("next", "echo")), 202);
    assert.deepEqual(await told(stream, 3), [
      ["hello", undefined, undefined],
      ["late", 502, "UPSTREAM_RESET"],
      ["next", undefined, undefined],
    ]);
    assert.equal(stream.text.includes('"n":1'), false);
  });
}
