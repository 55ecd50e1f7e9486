import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import type { ServerResponse } from "node:http";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Credential } from "../../src/auth/principal.ts";
import { parseConfig } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import type { Instance } from "../../src/instances/supervisor.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { HttpFront } from "../../src/sessions/http-front.ts";
import type { HttpRelay } from "../../src/sessions/http-relay.ts";
import { readEventId } from "../../src/sessions/event-id.ts";
import type { EventId } from "../../src/sessions/event-id.ts";
import type { SseFront } from "../../src/sessions/sse-front.ts";
import type { ClientOutlet, Outlet } from "../../src/sessions/outlet.ts";
import { hashOf } from "../../src/sessions/session-record.ts";
import { Sessions } from "../../src/sessions/sessions.ts";
import { SEALED_COLUMNS } from "../../src/vault/columns.ts";
import { openVault } from "../../src/vault/vault.ts";
import { figure } from "../helpers/figures.ts";
import { call, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { serve } from "../helpers/serve.ts";
import { temporaryStore } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";
import { skippingTime } from "../helpers/skippable-time.ts";

const ALICE: Credential = { user: "alice", issuer: "key", credentialId: "k1" };
const CANARY = "canary-of-a-client";
const initialize = (name = CANARY) =>
  rpc(0, "initialize", {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name, version: "1" },
  });
const NOTED = (method: string) => JSON.stringify({ jsonrpc: "2.0", method });
const INITIALIZED = NOTED("notifications/initialized");
const GREETING = { protocolVersion: "2025-06-18", capabilities: { resources: {} } };
const notFound = { code: "SESSION_NOT_FOUND" };

const messagesOf = (body: string) => {
  const posted = peek(Buffer.from(body));
  assert.equal(posted.kind, "messages");
  return posted.messages;
};

/** A server over HTTP with SSE that answers all it is asked, but for completions, and what it was told, in order. */
async function answering(t: TestContext) {
  const heard: string[] = [];
  let stream: ServerResponse;
  const { url } = await serve(t, (req, res) => {
    if (req.method === "GET") {
      stream = res.writeHead(200, { "content-type": "text/event-stream" });
      return void res.write("event: endpoint\ndata: /messages\n\n");
    }
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      res.writeHead(202).end();
      const { id, method } = JSON.parse(body) as { id?: unknown; method: string };
      heard.push(method);
      const result = method === "initialize" ? GREETING : { told: method };
      if (id !== undefined && method !== "completion/complete")
        stream.write(`data: ${JSON.stringify({ jsonrpc: "2.0", id, result })}\n\n`);
    });
  });
  return { url, heard };
}

/** Where what a POST is answered with goes. */
function outlet() {
  const said: string[] = [];
  const to: ClientOutlet = {
    accepted: "either",
    unread: 0,
    head: () => {},
    event: (...texts) => said.push(texts.join("")) > 0,
    part: (bytes) => said.push(bytes.toString()) > 0,
    onceDrained() {},
    end: () => {},
    fail: ({ code }) => void said.push(code),
  };
  return { said, to };
}

/** One database, and daemons on it of which only the last one is still there. */
async function rig(t: TestContext, limits: object = {}) {
  const { store, folder } = temporaryStore(t);
  const vault = openVault({ store, keyFile: path.join(folder, "vault.key") });
  t.after(() => vault.close());
  store.users.insert("alice", 1);
  store.users.insert("bob", 1);
  const userId = store.users.find("alice")!.id;
  const key = { userId, prefix: "mcps_", label: null, createdAt: 1, expiresAt: null };
  for (const id of ["k1", "k2"]) store.accessKeys.insert({ ...key, id }, Buffer.from(id));
  const { url, heard } = await answering(t);
  const servers = { plain: { command: "true" }, stays: { command: "true", stateful: true } };
  const config = parseConfig({ defaultServer: "plain", limits, servers }, "/nowhere");
  const errors: unknown[] = [];
  const log = { error: (about: unknown) => void errors.push(about), warn() {} };
  let isFull = false;
  const full = new SupervisorError("STORE_FAILED", "the disk is full");
  const relaxed = <T>(work: () => T): T => {
    if (isFull) throw full;
    return store.relaxed(work);
  };
  const kept = { store: { sessions: store.sessions, relaxed }, vault, log };
  const daemon = () => {
    const children = new Map<string, Instance>();
    const instanceOf = (user: string, server: string): Instance => {
      const name = `${user}/${server}`;
      const known = children.get(name);
      if (known !== undefined) return known;
      const child = testInstance(user, server);
      child.start(url);
      t.after(() => child.end("the test is over"));
      children.set(name, child.instance);
      return child.instance;
    };
    const sessions = new Sessions({
      config,
      kept,
      eraOf: async () => "legacy",
      discard() {},
      instanceOf: ({ user, server }) => instanceOf(user, server),
    });
    sessions.records!.open((name) => config.servers[name]);
    t.after(() => sessions.close());
    const whose = (holder: Credential = ALICE, server = "plain") => ({
      holder,
      instance: instanceOf(holder.user, server),
      server: config.servers[server]!,
    });
    const post = async (front: HttpFront | HttpRelay, body: string): Promise<string> => {
      const { said, to } = outlet();
      assert.equal(front.kind, "bridge");
      const release = sessions.http.hold(front);
      await front.post(messagesOf(body), [], to);
      if (body.includes('"id"')) await until(() => said.length > 0, "it is answered");
      front.left(to);
      release();
      return said.join("");
    };
    const begin = async (holder = ALICE, server = "plain"): Promise<HttpFront> => {
      const of = whose(holder, server);
      const front = await sessions.openBridge(of, messagesOf(initialize()));
      await post(front, initialize());
      return front;
    };
    const listener = () => {
      const events: string[] = [];
      const to: Outlet = {
        unread: 0,
        part: (bytes) => events.push(bytes.toString()) > 0,
        event: (...texts) => events.push(texts.join("")) > 0,
        onceDrained() {},
        end() {},
      };
      return { events, to };
    };
    const over = (front: SseFront, { events, to }: ReturnType<typeof listener>) => {
      const say = (body: string) =>
        front.deliver({ body: Buffer.from(body), messages: messagesOf(body), headers: [] });
      const leave = () => front.left(to);
      return { front, leave, say, events };
    };
    const stream = (agent?: string, holder = ALICE) => {
      const heardBy = listener();
      const opening = { ...whose(holder), outlet: heardBy.to, requestId: "r", agent };
      return over(sessions.openSse(opening), heardBy);
    };
    const comeBack = (last: EventId, holder = ALICE) => {
      const heardBy = listener();
      const front = sessions.findSse(last, { ...whose(holder), requestId: "r" });
      front?.goOn(heardBy.to, last.n);
      return front && over(front, heardBy);
    };
    return { sessions, whose, post, begin, stream, comeBack };
  };
  const setFull = (is: boolean): void => void (isFull = is);
  const rows = () => store.sessions.list("alice");
  return { store, vault, folder, heard, daemon, rows, setFull };
}

test("a session whose initialize was answered is there after the daemon was killed, and its next message replays it", async (t) => {
  const { daemon, heard } = await rig(t);
  const { session } = await daemon().begin();
  const next = daemon();
  heard.length = 0;
  const front = next.sessions.http.require(session.id, next.whose());
  assert.equal(front.session.id, session.id);
  assert.match(await next.post(front, call(1, "x")), /"id":1,"result"/);
  // It was killed before it had written, or heard, that the client is there.
  assert.deepEqual(heard, ["initialize", "notifications/initialized", "tools/call"]);
  assert.equal(next.sessions.http.require(session.id, next.whose()), front);
});

test("a client whose daemon was killed between its initialize and its initialized says the latter to the next one, and the server hears it once", async (t) => {
  const { daemon, heard } = await rig(t);
  const { session } = await daemon().begin();
  const next = daemon();
  heard.length = 0;
  const front = next.sessions.http.require(session.id, next.whose());
  await next.post(front, INITIALIZED);
  await next.post(front, call(1, "x"));
  assert.deepEqual(heard, ["initialize", "notifications/initialized", "tools/call"]);
});

test("what a client said after that is there within a second, and at once where the daemon ends in good order", async (t) => {
  const skip = skippingTime(t);
  const { daemon, heard, rows } = await rig(t);
  const first = daemon();
  const front = await first.begin();
  const [before] = rows();
  await first.post(front, INITIALIZED);
  await first.post(front, rpc(1, "logging/setLevel", { level: "debug" }));
  skip(1000);
  await until(() => !rows()[0]!.box.equals(before!.box), "it is written");
  await first.post(front, rpc(2, "resources/subscribe", { uri: "note://one" }));
  await first.sessions.finish(new SupervisorError("STOPPING", "the daemon is stopping"), 0);
  first.sessions.close();
  const next = daemon();
  heard.length = 0;
  const again = next.sessions.http.require(front.session.id, next.whose());
  await next.post(again, call(3, "x"));
  assert.deepEqual(heard.slice(0, 4), [
    "initialize",
    "notifications/initialized",
    "logging/setLevel",
    "resources/subscribe",
  ]);
  assert.ok(heard.includes("tools/call"));
  assert.deepEqual(again.session.memory.uris, ["note://one"]);
});

test("nobody else goes on with it, nor anybody once it has ended, grown old, or its server is another one", async (t) => {
  const { daemon, store } = await rig(t);
  const first = daemon();
  const kept = (await first.begin()).session.id;
  const ended = await first.begin();
  first.sessions.http.close(ended);
  const old = (await first.begin()).session.id;
  const stateful = (await first.begin(ALICE, "stays")).session.id;
  const row = store.sessions.list("alice").find(({ hash }) => hash === hashOf(old))!;
  store.sessions.touch({ ...row, usedAt: Date.now() - 25 * 3_600_000 });
  const next = daemon();
  const { http } = next.sessions;
  for (const holder of [
    { ...ALICE, credentialId: "k2" },
    { ...ALICE, issuer: "idp" },
  ])
    assert.throws(() => http.require(kept, next.whose(holder)), notFound);
  assert.throws(() => http.require(kept, next.whose({ ...ALICE, user: "bob" })), notFound);
  assert.throws(() => http.require(kept, next.whose(ALICE, "stays")), notFound);
  const { server, ...whose } = next.whose();
  for (const other of [{ sharing: "user" }, { stateful: true }, { transport: "http" }])
    assert.throws(
      () => http.require(kept, { ...whose, server: { ...server, ...other } as typeof server }),
      notFound,
    );
  assert.throws(
    () => http.require(kept, { ...next.whose(), settings: { caller: undefined!, mark: "x" } }),
    notFound,
  );
  for (const id of [ended.session.id, old, stateful, "", "garbage", "x".repeat(10_000)])
    assert.throws(() => http.require(id, next.whose()), notFound);
  assert.equal(http.require(kept, next.whose()).session.id, kept);
});

test("with a JWT the next one of that issuer goes on", async (t) => {
  const { daemon } = await rig(t);
  const jwt = { ...ALICE, issuer: "idp", credentialId: "of one" };
  const { id } = (await daemon().begin(jwt)).session;
  const next = daemon();
  const whose = next.whose({ ...jwt, credentialId: "of the next" });
  assert.equal(next.sessions.http.require(id, whose).session.id, id);
});

test("stored sessions end with their key, user and server, and with what is revoked while no daemon is there", async (t) => {
  const { daemon, rows, store } = await rig(t);
  const other = { ...ALICE, credentialId: "k2" };
  const first = daemon();
  await first.begin();
  await first.begin(other);
  const next = daemon();
  assert.equal(rows().length, 2);
  next.sessions.closeCredential(ALICE);
  assert.deepEqual(
    rows().map(({ credential }) => credential),
    ["k2"],
  );
  next.sessions.closeServer("stays");
  next.sessions.closeServerTo("plain", (user) => user !== "alice");
  assert.equal(rows().length, 1);
  next.sessions.closeServer("plain");
  assert.equal(rows().length, 0);
  const third = daemon();
  await third.begin();
  third.sessions.closeUser("alice");
  assert.equal(rows().length, 0);
  await third.begin();
  third.sessions.closeServerTo("plain", (user) => user === "alice");
  assert.equal(rows().length, 0);
  await third.begin();
  store.accessKeys.revoke("k1", 2);
  daemon();
  assert.equal(rows().length, 0);
});

test("a user has as many as the limit that nobody is in; what was unused for longest goes", async (t) => {
  const { daemon, rows } = await rig(t, { sessionsPerUser: 4 });
  const { sessions, begin, stream, whose } = daemon();
  const { say } = stream();
  await say(initialize());
  await until(() => rows().length === 1, "the one with a stream is written down");
  const fronts: HttpFront[] = [];
  for (let count = 0; count < 4; count += 1) fronts.push(await begin());
  // Used again, it is not the oldest any more.
  sessions.http.require(fronts[0]!.session.id, whose());
  for (let count = 0; count < 2; count += 1) fronts.push(await begin());
  assert.equal(rows().length, 5);
  assert.deepEqual(
    fronts.map(({ session }) => sessions.http.find(session.id, whose()) !== undefined),
    [true, false, false, true, true, true],
  );
});

test("a full disk costs a session its survival and not its life, and is told until there is room again", async (t) => {
  const { daemon, rows, setFull } = await rig(t);
  const { sessions, begin, post } = daemon();
  setFull(true);
  const front = await begin();
  assert.match(await post(front, call(1, "x")), /"result"/);
  assert.deepEqual([rows().length, sessions.records!.failure?.code], [0, "STORE_FAILED"]);
  setFull(false);
  sessions.expire();
  assert.deepEqual([rows().length, sessions.records!.failure], [1, undefined]);
});

test("a client over HTTP with SSE that comes back without a word of it goes on with what its last session knew", async (t) => {
  const { daemon, heard } = await rig(t);
  const first = daemon();
  const one = first.stream("sdk/1");
  await one.say(initialize());
  await until(() => one.events.join("").includes("protocolVersion"), "it is answered");
  await one.say(INITIALIZED);
  one.leave();
  const isToldOf = async ({ say, events }: ReturnType<typeof first.stream>) => {
    heard.length = 0;
    assert.equal((await say(call("next", "x"))).status, 202);
    await until(() => events.join("").includes('"id":"next",'), "it is answered");
    return events.join("").includes('"id":"next","result"');
  };
  // Several may take over the same one; no other program, and no other key, does.
  for (let times = 0; times < 2; times += 1) {
    assert.equal(await isToldOf(first.stream("sdk/1")), true);
    assert.deepEqual(heard, ["initialize", "notifications/initialized", "tools/call"]);
  }
  assert.equal(await isToldOf(first.stream("sdk/2")), false);
  assert.equal(await isToldOf(first.stream()), false);
  assert.equal(await isToldOf(first.stream("sdk/1", { ...ALICE, credentialId: "k2" })), false);
  assert.deepEqual(heard, []);
  // And one that ended with the daemon.
  const next = daemon();
  assert.equal(await isToldOf(next.stream("sdk/1")), true);
  const stranger = next.stream("sdk/2");
  await assert.rejects(stranger.say(NOTED("notifications/x")), notFound);
  assert.equal(await isToldOf(stranger), false);
  assert.match(stranger.events.join(""), /connect anew/);
  stranger.events.length = 0;
  await stranger.say(initialize());
  await until(() => stranger.events.join("").includes("protocolVersion"), "it is answered");
});

test("a session that another one takes over from waits for its client no longer, but for the calls that it has", async (t) => {
  const { daemon } = await rig(t);
  const life = daemon();
  const over = async (asked?: string) => {
    const stream = life.stream("sdk/1");
    await stream.say(initialize());
    await until(() => stream.events.join("").includes("protocolVersion"), "it is answered");
    if (asked !== undefined) await stream.say(rpc("asked", asked));
    stream.leave();
    const next = life.stream("sdk/1");
    await next.say(call("next", "x"));
    await until(() => next.events.join("").includes('"id":"next","result"'), "it is answered");
    next.front.close();
    return stream.front;
  };
  const idle = await over();
  const busy = await over("completion/complete");
  assert.deepEqual(
    [idle.session.serving, busy.session.serving?.inFlight.size],
    [undefined, 1],
    "the way to the server",
  );
  const { events, say } = life.comeBack({ stream: idle.session.id, n: 1 })!;
  await say(call("back", "x"));
  await until(() => events.join("").includes('"id":"back","result"'), "it goes on");
});

test("a client over HTTP with SSE that comes back with the last event that it has goes on with its session, in the next life of the daemon too", async (t) => {
  const { daemon, heard, rows } = await rig(t);
  const life = daemon();
  const first = life.stream();
  await first.say(initialize());
  await until(() => first.events.join("").includes("protocolVersion"), "it is answered");
  await first.say(INITIALIZED);
  await first.say(rpc("list", "tools/list"));
  await until(() => first.events.join("").includes('"id":"list"'), "it is answered");
  const last = readEventId(/[\s\S]*^id: (.*)$/m.exec(first.events.join(""))![1])!;
  life.sessions.close();
  const next = daemon();
  heard.length = 0;
  assert.equal(next.comeBack(last, { ...ALICE, credentialId: "k2" }), undefined, "another key's");
  const back = next.comeBack(last)!;
  assert.equal(back.front.session.id, last.stream);
  const told = back.events.join("");
  assert.match(told, /tools\/list_changed/, "nobody knows what has changed meanwhile");
  assert.match(told, new RegExp(`^id: ${last.stream}\\.${last.n + 1}$`, "m"));
  await back.say(call("next", "x"));
  await until(() => back.events.join("").includes('"id":"next","result"'), "it is answered");
  assert.deepEqual(heard.slice(0, 2), ["initialize", "notifications/initialized"]);
  assert.equal(rows().length, 1, "it is the same one");
});

test("neither id nor what the client said lies in the database in clear, and the box is sealed for its row", async (t) => {
  const { daemon, folder, rows, store, vault } = await rig(t);
  const { session } = await daemon().begin();
  const written = Buffer.concat(
    readdirSync(folder).map((name) => readFileSync(path.join(folder, name))),
  );
  assert.equal(rows().length, 1);
  for (const text of [session.id, CANARY, "2025-06-18"])
    assert.equal(written.includes(text), false, text);
  const column = SEALED_COLUMNS.find(({ table }) => table === "sessions")!;
  const { box, place } = store.sealed(column).find([rows()[0]!.hash])!;
  assert.match(vault.open(box, place), new RegExp(CANARY));
});

test("of ten thousand stored sessions none is read before its client comes, and that takes no time", async (t) => {
  const { daemon, store, rows } = await rig(t);
  const { id } = (await daemon().begin()).session;
  const [row] = rows();
  store.relaxed(() => {
    for (let count = 0; count < 10_000; count += 1)
      store.sessions.insert({ ...row!, user: "bob", issuer: "idp", hash: `${count}` });
  });
  const [begunAt, next] = [performance.now(), daemon()];
  const openMs = performance.now() - begunAt;
  const foundAt = performance.now();
  next.sessions.http.require(id, next.whose());
  const foundMs = performance.now() - foundAt;
  figure(t, "opened", openMs, 500);
  figure(t, "found", foundMs, 15);
  assert.equal(next.sessions.count, 1);
});
