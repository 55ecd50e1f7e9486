import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

for (const status of [409, 400]) {
  test(`a server that refuses a second stream with ${status} is asked again until it has noticed that the older one is gone`, async (t) => {
    let refusals = 0;
    const remote = await record(t, ({ method }, res) => {
      // One stream a session, and it takes its time to notice the end of one.
      const isTaken = remote.streams.size > 0 || (refusals > 0 && refusals < 4);
      if (method !== "GET" || !isTaken) return false;
      refusals += 1;
      return void res.writeHead(status, { "content-type": "application/json" }).end("{}");
    });
    const rig = await startForAlice(t, { one: { url: `${remote.origin}/mcp` } });
    const session = await rig.http("one");
    const older = await rig.stream("/u/alice/one/mcp", session);
    const newer = await rig.stream("/u/alice/one/mcp", session);
    assert.equal(newer.status, 200);
    await until(() => older.isEnded, "the older one has ended");
    assert.equal(refusals, 4);
    const [server] = remote.streams;
    server!.write('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n');
    await until(() => newer.messages().length === 1, "the newer one is the session's");
  });
}

test("a server that goes on refusing a stream has the last word after a second", async (t) => {
  const remote = await record(t, ({ method }, res) =>
    method === "GET" ? void res.writeHead(409, { "content-length": "0" }).end() : false,
  );
  const rig = await startForAlice(t, { one: { url: `${remote.origin}/mcp` } });
  const refused = await rig.stream("/u/alice/one/mcp", await rig.http("one"));
  assert.equal(refused.status, 409);
});

test("a server that refuses a session's first stream with 400 is not asked again", async (t) => {
  const remote = await record(t, ({ method }, res) =>
    method === "GET" ? void res.writeHead(400, { "content-length": "0" }).end() : false,
  );
  const rig = await startForAlice(t, { one: { url: `${remote.origin}/mcp` } });
  const refused = await rig.stream("/u/alice/one/mcp", await rig.http("one"));
  assert.equal(refused.status, 400);
  assert.equal(remote.requests.filter(({ method }) => method === "GET").length, 1);
});

test("a server that allows several streams keeps them", async (t) => {
  const remote = await record(t);
  const rig = await startForAlice(t, { one: { url: `${remote.origin}/mcp` } });
  const session = await rig.http("one");
  const streams = [
    await rig.stream("/u/alice/one/mcp", session),
    await rig.stream("/u/alice/one/mcp", session),
  ];
  for (const server of remote.streams)
    server.write('data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n');
  for (const stream of streams)
    await until(() => stream.messages().length === 1, "each has its own message");
});

test("over a bridge the older stream stays, messages go to the newest, and to the older one once that is gone", async (t) => {
  const remote = await record(t);
  const rig = await startForAlice(t, { one: { url: `${remote.origin}/sse` } });
  const session = await rig.http("one");
  const older = await rig.stream("/u/alice/one/mcp", session);
  const newer = await rig.stream("/u/alice/one/mcp", session);
  const [server] = remote.streams;
  const say = (n: number) =>
    server!.write(
      `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"n":${n}}}\n\n`,
    );
  say(1);
  await until(() => newer.messages().length === 1, "the newer one has the message");
  newer.close();
  await until(() => {
    say(2);
    return older.messages().length > 0;
  }, "the older one has the next");
  assert.equal(older.text.includes('"n":1'), false);
  assert.equal(older.isEnded, false);
});
