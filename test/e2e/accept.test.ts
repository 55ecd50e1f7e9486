import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { call, fixture, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

const JSON_ALONE = "application/json";
const STREAM_ALONE = "text/event-stream";
const stdio = (name: string, ...args: string[]) => {
  const recipe = fixture("http", name, ...args);
  const own = (recipe["args"] as string[]).filter((arg) => !/^(?:--port|\$\{port\})$/.test(arg));
  return { ...recipe, type: "stdio", args: own };
};

interface Rig extends Alice {
  /** Posts to a server, and takes this as the answer. */
  send: (server: string, accept: string, body: string, more?: string[]) => Promise<Answer>;
  /** Begins a session whose client may be asked; the headers that continue it. */
  begin: (server: string) => Promise<string[]>;
}

async function start(t: TestContext, servers: Record<string, unknown>): Promise<Rig> {
  const rig = await startForAlice(t, servers);
  const send: Rig["send"] = (server, accept, body, more = []) =>
    ask(rig.daemon.port, {
      method: "POST",
      path: `/u/alice/${server}/mcp`,
      headers: [...rig.auth, "content-type", "application/json", "accept", accept, ...more],
      body,
    });
  const begin: Rig["begin"] = async (server) => {
    const params = {
      protocolVersion: "2025-03-26",
      capabilities: { elicitation: {} },
      clientInfo: { name: "test", version: "1" },
    };
    const { status, headers, body } = await send(server, "*/*", rpc(0, "initialize", params));
    assert.equal(status, 200, body);
    return ["mcp-session-id", String(headers["mcp-session-id"])];
  };
  return { ...rig, send, begin };
}

const talk = (id: number | string) =>
  rpc(id, "tools/call", { name: "talk", arguments: {}, _meta: { progressToken: 7 } });
const textIn = (body: string) =>
  (JSON.parse(body) as { result: { content: { text: string }[] } }).result.content[0]!.text;
const methodsOn = (stream: EventStream) => stream.messages().map(({ method }) => method);

test("a client that takes JSON alone gets JSON over a bridge: what comes before the answer has no place there, and a question is refused at once", async (t) => {
  const { send, begin, stream } = await start(t, { one: stdio("talks-first") });
  const session = await begin("one");
  const { headers, body } = await send("one", JSON_ALONE, talk(1), session);
  assert.equal(headers["content-type"], "application/json");
  const refused = JSON.parse(textIn(body)) as { id: string; error: { code: number } };
  assert.deepEqual([refused.id, refused.error.code], ["question 1", -32603]);
  const late = await stream("/u/alice/one/mcp", session);
  await until(() => late.messages().length > 0, "what waited has come");
  assert.equal((await send("one", JSON_ALONE, call(2, "echo"), session)).status, 200);
  assert.deepEqual(methodsOn(late), ["notifications/message"], "the progress is old by now");
});

test("a client that takes JSON alone hears on its GET stream what comes before the answer, and is asked there", async (t) => {
  const { send, begin, stream } = await start(t, { one: stdio("talks-first") });
  const session = await begin("one");
  const events = await stream("/u/alice/one/mcp", session);
  const answered = send("one", JSON_ALONE, talk(1), session);
  await until(() => events.messages().length === 3, "all of it has come");
  assert.deepEqual(methodsOn(events), [
    "notifications/progress",
    "notifications/message",
    "elicitation/create",
  ]);
  const answer = { jsonrpc: "2.0", id: "question 1", result: { action: "decline" } };
  assert.equal((await send("one", JSON_ALONE, JSON.stringify(answer), session)).status, 202);
  const { headers, body } = await answered;
  assert.equal(headers["content-type"], "application/json");
  assert.deepEqual(JSON.parse(textIn(body)), answer);
});

test("a question of a call whose client takes JSON alone goes to another POST that can carry it", async (t) => {
  const { daemon, auth, send, begin, row } = await start(t, { one: stdio("talks-first") });
  const session = await begin("one");
  // Its head comes with the first thing that is said on it.
  const opening = EventStream.open(daemon.port, {
    method: "POST",
    path: "/u/alice/one/mcp",
    headers: [...auth, ...session, "accept", "*/*"],
    body: call("long", "sleep", { ms: 60_000 }),
  });
  await until(async () => (await row("one")).inFlight === 1, "the other call is under way");
  const asking = send("one", JSON_ALONE, talk("mute"), session);
  const open = await opening;
  t.after(() => open.close());
  await until(() => methodsOn(open).includes("elicitation/create"), "it is asked there");
  const answer = { jsonrpc: "2.0", id: "question 1", result: { action: "accept" } };
  assert.equal((await send("one", JSON_ALONE, JSON.stringify(answer), session)).status, 202);
  assert.deepEqual(JSON.parse(textIn((await asking).body)), answer);
});

test("a batch whose client takes JSON alone is answered by one array", async (t) => {
  const { send, begin } = await start(t, { one: stdio("talks-first") });
  const session = await begin("one");
  const batch = `[${call("a", "sleep", { ms: 50 })},${call("b", "echo")},${talk("c")}]`;
  const { headers, body } = await send("one", JSON_ALONE, batch, session);
  assert.equal(headers["content-type"], "application/json");
  const answers = JSON.parse(body) as { id: string; result: object }[];
  assert.deepEqual(answers.map(({ id }) => id).toSorted(), ["a", "b", "c"]);
  assert.ok(answers.every(({ result }) => result));
});

test("a child that ends within a batch leaves its client the answers that it has, and an error for every other", async (t) => {
  const { send, begin, row } = await start(t, { one: stdio("talks-first") });
  const session = await begin("one");
  const batch = `[${call("a", "pid")},${call("b", "sleep", { ms: 60_000 })}]`;
  const answered = send("one", JSON_ALONE, batch, session);
  await until(async () => (await row("one")).inFlight === 1, "one of the two is answered");
  process.kill((await row("one")).pid, "SIGKILL");
  const { status, body } = await answered;
  const answers = JSON.parse(body) as { id: string; error?: { data: { type: string } } }[];
  assert.deepEqual(
    [status, ...answers.map(({ id, error }) => [id, error?.data.type])],
    [200, ["a", undefined], ["b", "INSTANCE_EXITED"]],
  );
});

test("a client that takes event streams alone gets one over bridges, for the hello, a call and the gateway's own pong", async (t) => {
  const remote = await record(t);
  const { daemon, send, begin } = await start(t, {
    one: stdio("talks-first"),
    two: { url: `${remote.origin}/sse` },
  });
  for (const server of ["one", "two"]) {
    const hello = rpc(0, "initialize", {
      protocolVersion: "2025-03-26",
      capabilities: {},
      clientInfo: { name: "test", version: "1" },
    });
    const greeted = await send(server, STREAM_ALONE, hello);
    assert.equal(greeted.headers["content-type"], STREAM_ALONE);
    const session = ["mcp-session-id", String(greeted.headers["mcp-session-id"])];
    const echoed = await send(server, STREAM_ALONE, call(1, "echo"), session);
    assert.equal(echoed.headers["content-type"], STREAM_ALONE);
    assert.match(echoed.body, /^data: \{"jsonrpc":"2.0","id":1,"result"/m);
  }
  const session = await begin("one");
  assert.equal((await daemon.cli(["stop", "alice", "--server", "one"])).code, 0);
  const pong = await send("one", STREAM_ALONE, rpc(2, "ping"), session);
  assert.equal(pong.headers["content-type"], STREAM_ALONE);
  assert.match(pong.body, /^data: \{"jsonrpc":"2.0","id":2,"result":\{\}\}$/m);
});

test("a server that is relayed hears what its client accepts, and decides for itself", async (t) => {
  const remote = await record(t, ({ body }, res) => {
    if (!body.includes('"streamed"')) return false;
    const result = '{"jsonrpc":"2.0","id":"streamed","result":{}}';
    res.writeHead(200, { "content-type": STREAM_ALONE }).end(`data: ${result}\n\n`);
    return true;
  });
  const { send, begin } = await start(t, { one: { url: `${remote.origin}/mcp` } });
  const session = await begin("one");
  for (const [accept, id, type] of [
    [STREAM_ALONE, "plain", JSON_ALONE],
    [JSON_ALONE, "streamed", STREAM_ALONE],
  ] as const) {
    const { status, headers } = await send("one", accept, call(id, "echo"), session);
    assert.deepEqual([status, headers["content-type"]], [200, type]);
    assert.equal(remote.requests.at(-1)?.headers.accept, accept);
  }
});

/** Accept headers, and whether the answer to a call is a stream where the server has said nothing before it. */
const ACCEPTS: readonly (readonly [string, boolean])[] = [
  ["application/json, text/event-stream", false],
  ["*/*", false],
  ["text/html", false],
  ["text/*", true],
  ["text/event-stream;q=0.5", true],
  ["TEXT/Event-Stream", true],
  ["text/event-stream, application/json;q=0", true],
  ["application/json;q=0.0, */*", false],
  ["application/*, text/event-stream", false],
];

test("what a client accepts is read as HTTP has it", async (t) => {
  const { send, begin } = await start(t, { one: stdio("talks-first") });
  const session = await begin("one");
  for (const [i, [accept, isStream]] of ACCEPTS.entries()) {
    const { headers } = await send("one", accept, call(i + 1, "echo"), session);
    assert.equal(headers["content-type"], isStream ? STREAM_ALONE : JSON_ALONE, accept);
  }
});

test("a request of 2026-07-28 is answered in the form that is accepted, and what can be no answer is refused", async (t) => {
  const { send } = await start(t, { one: stdio("stdio-era", "--era", "modern") });
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    progressToken: 1,
  };
  const modern = (accept: string, method: string, params: { name?: string; arguments?: object }) =>
    send("one", accept, rpc(1, method, { ...params, _meta }), [
      "mcp-protocol-version",
      "2026-07-28",
      "mcp-method",
      method,
      ...(params.name === undefined ? [] : ["mcp-name", params.name]),
    ]);
  const progress = { name: "progress", arguments: { steps: 2 } };
  const alone = await modern(JSON_ALONE, "tools/call", progress);
  assert.equal(alone.headers["content-type"], JSON_ALONE);
  assert.equal(textIn(alone.body), "done");
  const echoed = await modern(STREAM_ALONE, "tools/call", { name: "echo", arguments: {} });
  assert.equal(echoed.headers["content-type"], STREAM_ALONE);
  const unknown = await modern(STREAM_ALONE, "no/such", {});
  assert.equal(unknown.status, 404);
  const listening = await modern(JSON_ALONE, "subscriptions/listen", {});
  assert.equal(listening.status, 406, listening.body);
  assert.match(listening.body, /"NOT_ACCEPTABLE"/);
});
