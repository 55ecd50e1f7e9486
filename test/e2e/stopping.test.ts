import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Row } from "../helpers/alice.ts";
import { orderControl } from "../helpers/control.ts";
import { echoServer } from "../helpers/echo.ts";
import { call, fixture, modernCall, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

const stdio = (...more: Parameters<typeof fixture>) => {
  const recipe = fixture(...more);
  const args = (recipe["args"] as string[]).filter((arg) => !/^(?:--port|\$\{port\})$/.test(arg));
  return { ...recipe, type: "stdio", args };
};
const failureIn = (text: string) => /"type":"([A-Z_]+)"/.exec(text)?.[1];

test("at SIGTERM a call under way is answered if it ends in time, else with an error, whatever the front and the server; a new one is refused", async (t) => {
  const held: ServerResponse[] = [];
  const bodies: string[] = [];
  const remote = await record(t, ({ body }, res) => {
    if (!body.includes("held")) return false;
    held.push(res);
    bodies.push(body.toString());
    return undefined;
  });
  const rig = await startForAlice(
    t,
    {
      remote: { url: `${remote.origin}/mcp` },
      distant: { url: `${remote.origin}/sse` },
      stdio: stdio("http", "witness"),
      era: stdio("http", "stdio-era", "--era", "modern"),
      events: echoServer("sse"),
      http: echoServer("http"),
    },
    { stopTimeout: "4s" },
  );
  const { daemon, post } = rig;
  const sleep = call("late", "sleep", { ms: 60_000, message: "x" });
  const sseSessions = [await rig.sse("stdio"), await rig.sse("events"), await rig.sse("distant")];
  const overHttp = await Promise.all(
    ["stdio", "http"].map(async (server) => ({ server, session: await rig.http(server) })),
  );
  const session = await rig.http("remote");
  const events = await rig.stream("/u/alice/remote/mcp", session);

  const intime = post("/u/alice/remote/mcp", call("held in time", "echo"), session);
  const toolate = [
    post("/u/alice/remote/mcp", call("held too long", "echo"), session),
    ...overHttp.map(({ server, session: own }) => post(`/u/alice/${server}/mcp`, sleep, own)),
    ask(daemon.port, {
      ...modernCall(rig.auth, "modern", { name: "sleep", arguments: { ms: 60_000 } }),
      path: "/u/alice/era/mcp",
    }),
  ];
  const own = await rig.http("http");
  const many = (ms: number) =>
    Array.from({ length: 20 }, (_, i) =>
      post("/u/alice/http/mcp", call(`${ms} ${i}`, "sleep", { ms, message: "x" }), own),
    );
  const endless = many(60_000);
  const late = sleep.replace("late", "late and held");
  for (const { endpoint } of sseSessions.slice(0, 2))
    assert.equal((await post(endpoint, late)).status, 202);
  // The remote does not even take this one.
  toolate.push(post(sseSessions[2]!.endpoint, late));
  await until(() => held.length >= 3, "the calls have arrived");
  const inFlight = async (): Promise<number> => {
    const { instances } = await orderControl<{ instances: Row[] }>(
      daemon.socket,
      "GET",
      "/api/status",
    );
    return instances.reduce((sum, row) => sum + row.inFlight, 0);
  };
  await until(async () => (await inFlight()) >= 27, "all calls are under way");

  const kept = connect(daemon.port, "127.0.0.1").setEncoding("latin1");
  t.after(() => kept.destroy());
  let said = "";
  kept.on("data", (text: string) => (said += text)).on("error", () => undefined);
  const words = (path: string, method = "GET", body = "") =>
    `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${rig.auth.join(": ")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  kept.write(words("/u/alice/nowhere/mcp"));
  await until(() => said.includes("SERVER_NOT_FOUND"), "its connection is open");
  // Under way, so that the connection stays.
  kept.write(words("/u/alice/remote/mcp", "POST", call("held on", "echo")));
  await until(() => held.length >= 4, "its call is under way");

  const short = many(500);
  await until(async () => (await inFlight()) >= 48, "they are under way, too");
  const ended = daemon.stop();
  await until(() => daemon.log().includes('"stopping"'), "the daemon has the signal");
  const refused = await post(sseSessions[0]!.endpoint, rpc("new", "tools/list")).catch(
    (error: NodeJS.ErrnoException) => error.code,
  );
  assert.equal(refused, "ECONNREFUSED", "no new connection is taken");
  kept.write(words("/u/alice/remote/mcp", "POST", rpc("new", "tools/list")));
  const inTime = held.find((_res, i) => bodies[i]!.includes("in time"))!;
  inTime.writeHead(200, { "content-type": "application/json" });
  inTime.end('{"jsonrpc":"2.0","id":"held in time","result":{}}');
  const answer = await intime;
  assert.deepEqual(
    [answer.status, JSON.parse(answer.body)],
    [200, { jsonrpc: "2.0", id: "held in time", result: {} }],
  );

  assert.equal(answer.headers.connection, "close", "what comes next is for the next daemon");
  for (const { status, body } of await Promise.all(short))
    assert.deepEqual([status, failureIn(body)], [200, undefined], body);

  // Of the last one the reason is on the stream.
  for (const { status, body } of [
    ...(await Promise.all(toolate)).slice(0, 4),
    ...(await Promise.all(endless)),
  ]) {
    assert.equal(status, 502, body);
    assert.equal(failureIn(body), "INSTANCE_EXITED", body);
    assert.match(body, /"mayHaveHappened":true/);
  }
  for (const { stream } of sseSessions) {
    await until(() => stream.isEnded, "the stream has ended");
    assert.equal(stream.messages().at(-1)?.error?.data?.type, "INSTANCE_EXITED");
    assert.match(stream.text, /"id":"late and held"/);
    assert.match(stream.text, /\n\nretry: 3000\n$/, "the port refuses for a while");
  }
  await until(() => events.isEnded && said.includes("INSTANCE_EXITED"), "all others have ended");
  assert.equal(await ended, 0);
  const came = remote.requests.filter(({ body }) => body.includes("tools/list"));
  assert.deepEqual(came, [], "no new request is taken");
});
