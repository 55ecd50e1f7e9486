import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { askableIn } from "../../src/mcp/askable.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { Text } from "../../src/mcp/long-text.ts";
import { SharedStdio } from "../../src/links/shared-stdio.ts";
import { until } from "../helpers/until.ts";

interface Json {
  id?: number | string;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { code: number };
}

/** The child's end of the pipes, played by the test: what it got, and a way to say something. */
class Child {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly got: Json[] = [];
  readonly faults: string[] = [];

  constructor(version = "2025-11-25") {
    let rest = "";
    this.stdin.setEncoding("utf8").on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#take(JSON.parse(line) as Json, version);
    });
  }

  #take(message: Json, version: string): void {
    this.got.push(message);
    if (message.method === "initialize")
      this.say({
        id: message.id!,
        result: {
          protocolVersion: version,
          capabilities: { tools: {} },
          serverInfo: { name: "c", version: "1", n: 1 },
        },
      });
  }

  say(message: object): void {
    this.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  async last(method: string): Promise<Json> {
    return await until(
      () => this.got.findLast((message) => message.method === method),
      `the child got ${method}`,
    );
  }
}

class Session {
  readonly got: { message: Json; about: string | undefined }[] = [];
  readonly receive = (raw: Text, about: string | undefined) =>
    void this.got.push({ message: JSON.parse((raw as Buffer).toString()) as Json, about });
  readonly dropped = (id: string) => void this.got.push({ message: {}, about: id });
  isEnded = false;
  readonly ended = () => void (this.isEnded = true);
  readonly askable;
  readonly #shared: SharedStdio;

  constructor(shared: SharedStdio, capabilities: object) {
    this.#shared = shared;
    this.askable = askableIn(JSON.stringify(capabilities));
    shared.open(this);
  }

  async send(message: object): Promise<void> {
    const raw = Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message }));
    const seen = peek(raw);
    assert.ok(seen.kind === "messages");
    await this.#shared.send(this, seen.messages[0]!);
  }

  close(): void {
    this.#shared.close(this);
  }

  get messages(): Json[] {
    return this.got.map(({ message }) => message);
  }
}

async function share(_t: TestContext, capabilities: object = {}, version?: string) {
  const child = new Child(version);
  const shared = new SharedStdio({
    stdin: child.stdin,
    stdout: child.stdout,
    capabilities: JSON.stringify(capabilities),
    isOwn: false,
    resumeWindowMs: 60_000,
    clientVersion: "1",
    onFault: (what) => child.faults.push(what),
    onBroken: assert.fail,
  });
  await shared.initialize();
  return { child, open: () => new Session(shared, capabilities) };
}

test("the child is initialised once, and every session sees its own version", async (t) => {
  const { child, open } = await share(t, { roots: {} }, "2025-06-18");
  const [a, b, c] = [open(), open(), open()];
  await a.send({
    id: 0,
    method: "initialize",
    params: { protocolVersion: "2024-11-05", capabilities: {} },
  });
  await b.send({
    id: "x",
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {} },
  });
  await c.send({
    id: 0,
    method: "initialize",
    params: { protocolVersion: "1999-01-01", capabilities: {} },
  });
  const versionOf = (session: Session) => session.messages[0]?.result?.["protocolVersion"];
  assert.deepEqual([a, b, c].map(versionOf), ["2024-11-05", "2025-06-18", "2025-06-18"]);
  assert.equal(b.messages[0]?.id, "x");
  assert.equal(child.got.filter(({ method }) => method === "initialize").length, 1);
  assert.deepEqual(child.got[0]?.params?.["capabilities"], { roots: {} });
  assert.equal(child.got[0]?.params?.["protocolVersion"], "2025-11-25");
});

test("the same ids and progress tokens in two sessions never meet", async (t) => {
  const { child, open } = await share(t);
  const [a, b] = [open(), open()];
  const callBy = (who: string) => ({
    id: 1,
    method: "tools/call",
    params: { name: who, _meta: { progressToken: 1 } },
  });
  await a.send(callBy("a"));
  await b.send(callBy("b"));
  const calls = await until(() => {
    const all = child.got.filter(({ method }) => method === "tools/call");
    return all.length === 2 ? all : undefined;
  }, "both calls have come");
  const [first, second] = calls;
  assert.notEqual(first!.id, second!.id);
  for (const call of calls.toReversed()) {
    const token = (call.params!["_meta"] as { progressToken: number }).progressToken;
    child.say({
      method: "notifications/progress",
      params: { progressToken: token, progress: 1, message: call.params?.["name"] },
    });
    child.say({ id: call.id, result: { who: call.params?.["name"] } });
  }
  await until(() => a.got.length === 2 && b.got.length === 2, "both are answered");
  for (const [session, who] of [
    [a, "a"],
    [b, "b"],
  ] as const) {
    const [progress, answer] = session.got;
    assert.deepEqual(progress?.message.params, { progressToken: 1, progress: 1, message: who });
    assert.equal(progress?.about, "1");
    assert.deepEqual([answer?.message.id, answer?.message.result], [1, { who }]);
  }
});

test("a cancelled call is cancelled at the child under the child's id, and its late answer goes nowhere", async (t) => {
  const { child, open } = await share(t);
  const a = open();
  await a.send({ id: "long", method: "tools/call", params: {} });
  await a.send({
    method: "notifications/cancelled",
    params: { requestId: "long", reason: "enough" },
  });
  const call = await child.last("tools/call");
  const cancelled = await child.last("notifications/cancelled");
  assert.deepEqual(cancelled.params, { requestId: call.id, reason: "enough" });
  child.say({ id: call.id, result: {} });
  await a.send({ id: 2, method: "ping" });
  const ping = await child.last("ping");
  child.say({ id: ping.id, result: {} });
  await until(() => a.messages.some(({ id }) => id === 2), "the ping is answered");
  assert.deepEqual(
    a.messages.map(({ id }) => id),
    [2],
  );
});

test("a session that leaves has its calls cancelled and its subscriptions ended", async (t) => {
  const { child, open } = await share(t);
  const [a, b] = [open(), open()];
  for (const session of [a, b])
    await session.send({ id: 1, method: "resources/subscribe", params: { uri: "u" } });
  await a.send({ id: 2, method: "resources/subscribe", params: { uri: "only-a" } });
  await a.send({ id: 3, method: "tools/call", params: {} });
  a.close();
  await child.last("notifications/cancelled");
  const gone = await child.last("resources/unsubscribe");
  assert.deepEqual(gone.params, { uri: "only-a" });
  assert.equal(
    child.got.filter(
      ({ method, params }) => method === "resources/subscribe" && params?.["uri"] === "u",
    ).length,
    1,
  );
  child.say({ method: "notifications/resources/updated", params: { uri: "u" } });
  await until(
    () => b.messages.some(({ method }) => method === "notifications/resources/updated"),
    "b hears of it",
  );
  assert.equal(
    a.messages.some(({ method }) => method === "notifications/resources/updated"),
    false,
  );
});

test("a question of the child goes to the session with a call in flight, and only that one may answer", async (t) => {
  const { child, open } = await share(t, { sampling: {} });
  const [a, b] = [open(), open()];
  await a.send({ id: 1, method: "tools/call", params: { name: "a" } });
  // b's call waits: two sessions with calls in flight could get each other's questions.
  await b.send({ id: 1, method: "tools/call", params: { name: "b" } });
  const first = await child.last("tools/call");
  child.say({ id: 77, method: "sampling/createMessage", params: {} });
  await until(
    () => a.messages.some(({ method }) => method === "sampling/createMessage"),
    "a is asked",
  );
  await b.send({ id: 77, result: { text: "from the wrong one" } });
  await a.send({ id: 77, result: { text: "from a" } });
  await until(() => child.got.some(({ id }) => id === 77), "the child has its answer");
  assert.deepEqual(
    child.got
      .filter(({ id, method }) => id === 77 && method === undefined)
      .map(({ result }) => result),
    [{ text: "from a" }],
  );
  assert.equal(child.got.filter(({ method }) => method === "tools/call").length, 1);
  child.say({ id: first.id, result: {} });
  await until(
    () => child.got.filter(({ method }) => method === "tools/call").length === 2,
    "b's call has its turn",
  );
});

test("a session that asks for less of the log gets less, and the child is told the most verbose", async (t) => {
  const { child, open } = await share(t);
  const [a, b] = [open(), open()];
  await a.send({ id: 1, method: "logging/setLevel", params: { level: "error" } });
  await b.send({ id: 1, method: "logging/setLevel", params: { level: "debug" } });
  await a.send({ id: 2, method: "logging/setLevel", params: { level: "warning" } });
  await until(() => a.messages.some(({ id }) => id === 2), "what the child knows is answered here");
  const told = () =>
    child.got
      .filter(({ method }) => method === "logging/setLevel")
      .map(({ params }) => params?.["level"]);
  await until(() => told().length > 1, "the child was told twice");
  assert.deepEqual(told(), ["error", "debug"]);
  for (const level of ["debug", "error"])
    child.say({ method: "notifications/message", params: { level, data: level } });
  const heard = (session: Session) =>
    session.messages
      .filter(({ method }) => method === "notifications/message")
      .map(({ params }) => params?.["level"]);
  await until(() => heard(b).length === 2, "b hears all");
  assert.deepEqual(heard(a), ["error"]);
  await a.send({ id: 3, method: "logging/setLevel", params: { level: "loud" } });
  await until(() => told().length > 2, "the child is to refuse a level that is none");
  assert.equal(told().at(-1), "loud");
});

test("a later session is asked for its roots too, because the child is told that they changed", async (t) => {
  const { child, open } = await share(t, { roots: { listChanged: true } });
  const a = open();
  child.say({ id: "r1", method: "roots/list" });
  await until(() => a.messages.length === 1, "a is asked");
  const b = open();
  await b.send({ method: "notifications/initialized" });
  await child.last("notifications/roots/list_changed");
  child.say({ id: "r2", method: "roots/list" });
  await until(() => b.messages.length === 1, "b is asked");
  assert.equal(a.messages.length, 1);
});

test("what is no message is the child's fault and nobody's end", async (t) => {
  const { child, open } = await share(t);
  const a = open();
  child.stdout.write('starting up…\n{"jsonrpc":\n[1,"x"]\n\n');
  child.say({ id: 999, result: {} });
  child.say({ method: "notifications/tools/list_changed" });
  await until(() => a.messages.length === 1, "the message after the noise has come");
  assert.equal(a.messages[0]?.method, "notifications/tools/list_changed");
  assert.equal(child.faults.length, 5);
});

test("a question when nobody is there is refused, and a ping of the child is answered", async (t) => {
  const { child } = await share(t);
  child.say({ id: 5, method: "elicitation/create", params: {} });
  child.say({ id: 6, method: "ping" });
  await until(() => child.got.length >= 4, "both are answered");
  assert.deepEqual(
    child.got.slice(2).map(({ id, error, result }) => [id, error?.code, result]),
    [
      [5, -32603, undefined],
      [6, undefined, {}],
    ],
  );
});

test("sixteen sessions with the same ids: every answer belongs to its asker", async (t) => {
  const { child, open } = await share(t);
  child.stdin.on("data", () => {});
  const sessions = Array.from({ length: 16 }, () => open());
  const answered = new Set<number>();
  const answering = setInterval(() => {
    for (const { id, method, params } of child.got.splice(0).toSorted(() => Math.random() - 0.5)) {
      if (method === "tools/call") child.say({ id, result: { echo: params?.["text"] } });
    }
  }, 1);
  t.after(() => clearInterval(answering));
  for (let i = 1; i <= 200; i++) {
    await Promise.all(
      sessions.map((session, who) =>
        session.send({ id: i, method: "tools/call", params: { text: `${who}:${i}` } }),
      ),
    );
  }
  await until(() => sessions.every(({ got }) => got.length === 200), "all are answered");
  for (const [who, session] of sessions.entries()) {
    for (const { id, result } of session.messages)
      assert.equal(result?.["echo"], `${who}:${String(id)}`);
    answered.add(who);
  }
  assert.equal(answered.size, 16);
});
