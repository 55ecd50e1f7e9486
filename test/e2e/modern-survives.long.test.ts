import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { META } from "../../src/mcp/modern.ts";
import { startForAlice } from "../helpers/alice.ts";
import { daemonFolder } from "../helpers/daemon.ts";
import { json } from "../helpers/fixtures.ts";
import { isAlive } from "../helpers/leaks.ts";
import { notingServer } from "../helpers/notes-calls.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { instancesOf } from "../helpers/status.ts";
import { until } from "../helpers/until.ts";

const VERSION = "2026-07-28";

interface Told {
  result?: { content: { text: string }[]; tools?: unknown[] };
  error?: { message: string; data: { type: string; mayHaveHappened?: boolean } };
}

/** A daemon with a stdio server of 2026-07-28 that notes its calls. */
async function start(t: TestContext, more: object = {}) {
  const dir = daemonFolder(t);
  const options = { args: ["--era", "modern"], more: { ...more } };
  const { notes, entry } = await notingServer("stdio", join(dir, "notes"), options);
  const alice = await startForAlice(t, { one: entry }, {}, { dir });
  let lastId = 0;
  const requestOf = (method: string, params: object = {}) => {
    const _meta = { [META.protocolVersion]: VERSION, [META.clientCapabilities]: {} };
    const { name, _meta: own } = params as { name?: string; _meta?: object };
    const mirrored = ["mcp-protocol-version", VERSION, "mcp-method", method];
    if (name !== undefined) mirrored.push("mcp-name", name);
    const id = (lastId += 1);
    const all = { ...params, _meta: { ..._meta, ...own } };
    return {
      method: "POST",
      path: "/u/alice/mcp",
      headers: [...alice.auth, ...json, ...mirrored],
      body: JSON.stringify({ jsonrpc: "2.0", id, method, params: all }),
    };
  };
  const send = async (method: string, params: object = {}) => {
    const { status, body } = await ask(alice.daemon.port, requestOf(method, params));
    return { status, ...(JSON.parse(/\{.*\}/s.exec(body)![0]) as Told) };
  };
  const call = (name: string, args: object = {}) => send("tools/call", { name, arguments: args });
  const stream = async (method: string, params: object = {}) => {
    const opened = await EventStream.open(alice.daemon.port, requestOf(method, params));
    t.after(() => opened.close());
    return opened;
  };
  const pids = async () =>
    (await instancesOf(alice.daemon)).flatMap(({ pid }) => pid ?? []).filter(isAlive);
  const kill = async () => {
    const [pid] = await until(async () => {
      const alive = await pids();
      return alive.length > 0 ? alive : undefined;
    }, "there is a child");
    process.kill(pid!, "SIGKILL");
    await until(() => !isAlive(pid!), "it is gone");
  };
  const received = (method: string) => notes.received().filter(({ got }) => got.method === method);
  const isThere = async (method: string, count = 1) =>
    void (await until(() => received(method).length >= count, `${method} is there`));
  return { alice, notes, call, send, stream, kill, received, isThere };
}

const textIn = ({ result }: Told) => JSON.parse(result!.content[0]!.text) as { pid: number };

test("a call after the child's end is executed once, by the next one, whatever the daemon knew", async (t) => {
  const { notes, call, kill } = await start(t);
  for (let n = 1; n <= 6; n += 1) {
    const { status, error } = await call("note", { n });
    assert.deepEqual([status, error], [200, undefined]);
    assert.equal(notes.count(n), 1);
    await kill();
  }
});

test("a call that a child took with it is answered with why, and that it may have happened", async (t) => {
  const { notes, call, kill } = await start(t);
  const calling = call("late", { n: 1, ms: 60_000 });
  await until(() => notes.count(1) === 1, "it is at work");
  await kill();
  const { status, error } = await calling;
  assert.equal(status, 502);
  assert.match(error!.message, /the child was killed by SIGKILL/);
  assert.deepEqual([error!.data.type, error!.data.mayHaveHappened], ["INSTANCE_EXITED", true]);
  assert.equal(notes.count(1), 1);
});

test("a list that a child took with it is asked of the next one, but where nothing is sent again", async (t) => {
  for (const resend of ["reads", "never"]) {
    const { notes, send, kill, isThere } = await start(t, { resend });
    notes.behave({ listMs: 60_000 });
    const listing = send("tools/list");
    await isThere("tools/list");
    notes.behave({});
    await kill();
    const { status, result, error } = await listing;
    if (resend === "reads") assert.ok(result!.tools!.length > 0);
    else assert.deepEqual([status, error!.data.mayHaveHappened], [502, true]);
  }
});

test("a tool is called again where its server says that this does no harm, and it may be, and its progress goes on from what was shown", async (t) => {
  const { call, kill, notes, stream } = await start(t, { resend: "annotated" });
  const params = { name: "read", arguments: { n: 1, ms: 500 }, _meta: { progressToken: "p" } };
  const reading = await stream("tools/call", params);
  await until(() => reading.messages().length >= 2, "it tells its progress");
  await kill();
  await until(() => reading.isEnded, "the answer");
  const told = reading.messages().map(({ method, id, ...rest }) => {
    const { params: { progress } = {} } = rest as { params?: { progress?: number } };
    return method === undefined ? id : progress;
  });
  assert.deepEqual(told, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1]);
  assert.equal(notes.count(1), 2);

  const late = call("late", { n: 2, ms: 60_000 });
  await until(() => notes.count(2) === 1, "it is at work");
  await kill();
  assert.equal((await late).error!.data.mayHaveHappened, true);
});

test("who listens goes on listening to the next child, on the same stream, and is told of what may have changed", async (t) => {
  const { stream, kill, isThere, call, alice } = await start(t);
  const uri = "note://1";
  const notifications = { resourceSubscriptions: [uri] };
  const listening = await stream("subscriptions/listen", { notifications });
  const methods = () => listening.messages().map(({ method }) => method);
  await until(() => methods().length === 1, "it is acknowledged");
  await kill();
  await isThere("subscriptions/listen", 2);
  await until(() => methods().length === 2, "the client is told");
  await call("touch", { uri });
  await until(() => methods().length === 3, "the change is told");
  assert.equal((await alice.daemon.cli(["restart", "alice", "--graceful"])).code, 0);
  await isThere("subscriptions/listen", 3);
  await call("touch", { uri });
  await until(() => methods().length === 4, "the next change is told");
  const updated = "notifications/resources/updated";
  const acknowledged = "notifications/subscriptions/acknowledged";
  assert.deepEqual(methods(), [acknowledged, updated, updated, updated]);
  const ids = listening.messages().map((message) => {
    const { params } = message as { params?: { _meta?: Record<string, unknown> } };
    return params?._meta?.[META.subscriptionId];
  });
  assert.deepEqual(new Set(ids).size, 1);
  assert.equal(listening.isEnded, false);
});

test("what an admin has stopped is not started for who listens, who hears the next child all the same", async (t) => {
  const { stream, isThere, call, received, alice } = await start(t);
  const uri = "note://1";
  const listening = await stream("subscriptions/listen", { notifications: {} });
  await until(() => listening.messages().length === 1, "it is acknowledged");
  assert.equal((await alice.daemon.cli(["stop", "alice"])).code, 0);
  assert.equal(received("subscriptions/listen").length, 1);
  await call("note", { n: 1 });
  await isThere("subscriptions/listen", 2);
  await call("touch", { uri });
  await until(() => listening.messages().length === 2, "the change is told");

  const { configPath } = alice.daemon;
  const config = JSON.parse(readFileSync(configPath, "utf8")) as { servers: { one: object } };
  Object.assign(config.servers.one, { type: "http" });
  writeFileSync(configPath, JSON.stringify(config));
  assert.equal((await alice.daemon.cli(["reload"])).code, 0);
  await until(() => listening.isEnded, "nobody hears another server");
  assert.equal(listening.messages().at(-1)!.error!.data!.type, "SERVER_NOT_FOUND");
});

test("a child that is replaced answers the calls that it has, and no longer than it may", async (t) => {
  const { call, alice, notes } = await start(t, { drainTimeout: "1500ms" });
  const [short, long] = [call("late", { n: 1, ms: 1000 }), call("late", { n: 2, ms: 60_000 })];
  await until(() => notes.count(1) + notes.count(2) === 2, "they are at work");
  assert.equal((await alice.daemon.cli(["restart", "alice", "--graceful"])).code, 0);
  const next = textIn(await call("note", { n: 3 }));
  const old = textIn(await short);
  assert.notEqual(old.pid, next.pid);
  const { status, error } = await long;
  assert.equal(status, 502);
  assert.match(error!.message, /the child was restarted/);
  assert.deepEqual([error!.data.type, error!.data.mayHaveHappened], ["INSTANCE_EXITED", true]);
});
