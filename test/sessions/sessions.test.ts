import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { parseConfig } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import { isOwnVariant } from "../../src/instances/instance-types.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { Outlet } from "../../src/sessions/outlet.ts";
import { Sessions } from "../../src/sessions/sessions.ts";
import { by } from "../helpers/session.ts";
import { call, rpc } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import type { TestInstance } from "../helpers/instance.ts";
import { serve } from "../helpers/serve.ts";

const ALICE = { user: "alice", issuer: "key", credentialId: "k1" };
const ALICE_ELSEWHERE = { ...ALICE, credentialId: "k2" };
const BOB = { user: "bob", issuer: "key", credentialId: "k3" };

/** A client's stream that nobody reads. */
const NOBODY: Outlet = {
  unread: 0,
  part: () => true,
  event: () => true,
  onceDrained() {},
  end() {},
};

interface Asked {
  variant: string;
  capabilities: string;
  wanted: string | undefined;
}

/** Sessions with stdio servers, behind which stands the simplest server that a session can be begun with. */
async function rig(t: TestContext, { isBrief = false } = {}) {
  const { url } = await serve(t, (req, res) => {
    if (req.method !== "GET") return void res.writeHead(202).end();
    res.writeHead(200, { "content-type": "text/event-stream" });
    const endpoint = "event: endpoint\ndata: /messages\n\n";
    if (isBrief) res.end(endpoint);
    else res.write(endpoint);
  });
  const config = parseConfig(
    {
      defaultServer: "plain",
      sessionTtl: "10m",
      servers: {
        plain: { command: "true" },
        each: { command: "true", sharing: "session" },
        all: { command: "true", sharing: "user" },
      },
    },
    "/nowhere",
  );
  const asked: Asked[] = [];
  const children = new Map<string, TestInstance>();
  const discarded: string[] = [];
  const childOf = (user: string, server: string, variant: string): TestInstance => {
    const key = [user, server, variant].join("/");
    const known = children.get(key) ?? testInstance(user, server);
    children.set(key, known);
    Object.assign(known.instance.ref, { variant });
    return known;
  };
  let refusal: Error | undefined;
  const sessions = new Sessions({
    config,
    eraOf: async () => "legacy",
    discard: ({ ref }) => void discarded.push(ref.variant),
    instanceOf: ({ user, server, variant }, capabilities, wanted) => {
      asked.push({ variant, capabilities, wanted });
      const child = childOf(user, server, variant);
      if (refusal === undefined) child.start(url);
      else queueMicrotask(() => child.refuse(refusal!));
      return child.instance;
    },
  });
  t.after(() => {
    sessions.close();
    for (const child of children.values()) child.end("the test is over");
  });
  const messagesOf = (body: string) => {
    const posted = peek(Buffer.from(body));
    assert.equal(posted.kind, "messages");
    return posted.messages;
  };
  const begin = async (
    capabilities: object = {},
    { server = "plain", holder = ALICE, protocolVersion = "2025-06-18" } = {},
  ) => {
    const { instance } = childOf(holder.user, server, "");
    const body = rpc(0, "initialize", { protocolVersion, capabilities });
    const whose = { holder, instance, server: config.servers[server]! };
    return await sessions.openBridge(whose, messagesOf(body));
  };
  return {
    sessions,
    asked,
    discarded,
    begin,
    messagesOf,
    instanceOf: (server: string) => childOf("alice", server, "").instance,
    server: (name: string) => config.servers[name]!,
    refuse: (error: Error) => (refusal = error),
  };
}

test("clients that declare the same share a stdio child, however they write it; others have another", async (t) => {
  const { asked, begin } = await rig(t);
  await begin();
  await begin({});
  await begin({ experimental: { b: {}, a: {} } });
  await begin({ experimental: { a: {}, b: {} } });
  const variants = asked.map(({ variant }) => variant);
  assert.deepEqual(variants.slice(0, 2), ["", ""]);
  assert.equal(variants[2], '{"experimental":{"a":{},"b":{}}}');
  assert.equal(variants[3], variants[2]);
  assert.deepEqual(
    asked.map(({ capabilities }) => capabilities),
    ["{}", "{}", variants[2], variants[2]],
  );
});

test("a client that can be asked has a child of its own, which is discarded with its session", async (t) => {
  const { sessions, asked, discarded, begin } = await rig(t);
  const first = await begin({ sampling: {} });
  await begin({ elicitation: {} });
  const [own, other] = asked.map(({ variant }) => variant);
  assert.ok(isOwnVariant(own!) && isOwnVariant(other!) && own !== other);
  sessions.http.close(first);
  assert.deepEqual(discarded, [own]);
});

test('"sharing" decides where it is set: a child for each session, or one for all', async (t) => {
  const { asked, begin } = await rig(t);
  await begin({}, { server: "each" });
  await begin({}, { server: "each" });
  await begin({ sampling: {} }, { server: "all" });
  await begin({ roots: {} }, { server: "all" });
  const variants = asked.map(({ variant }) => variant);
  assert.ok(variants.slice(0, 2).every(isOwnVariant) && variants[0] !== variants[1]);
  assert.deepEqual(variants.slice(2), ["", ""]);
});

test("a start learns which version its client asks for, if it is one that there is", async (t) => {
  const { asked, begin } = await rig(t);
  await begin({}, { protocolVersion: "2025-03-26" });
  await begin({}, { protocolVersion: "1999-01-01" });
  assert.deepEqual(
    asked.map(({ wanted }) => wanted),
    ["2025-03-26", undefined],
  );
});

test("a session begins with initialize, and with nothing beside it", async (t) => {
  const { sessions, asked, messagesOf, instanceOf, server } = await rig(t);
  const whose = { holder: ALICE, instance: instanceOf("plain"), server: server("plain") };
  const begun = rpc(0, "initialize", { capabilities: {} });
  for (const body of [call(1, "echo"), `[${begun},${rpc(1, "ping")}]`])
    await assert.rejects(sessions.openBridge(whose, messagesOf(body)), {
      code: "REQUEST_INVALID",
      message: "a session begins with initialize",
    });
  assert.deepEqual([asked, sessions.count], [[], 0]);
});

test("a start that fails leaves no session, and no child of its own", async (t) => {
  const { sessions, discarded, begin, refuse } = await rig(t);
  refuse(new SupervisorError("INSTANCE_EXITED", "the child exited"));
  await assert.rejects(begin({ sampling: {} }), { code: "INSTANCE_EXITED" });
  assert.deepEqual([sessions.count, discarded.length], [0, 1]);
});

test("a server that ends its stream as soon as it has opened it is to blame for the session that is not", async (t) => {
  const { sessions, begin, discarded } = await rig(t, { isBrief: true });
  await assert.rejects(begin({ sampling: {} }), { code: "UPSTREAM_RESET" });
  assert.deepEqual([sessions.count, discarded.length], [0, 1]);
});

test("a message that is read after the stream of its session has ended begins nothing", async (t) => {
  const { sessions, asked, messagesOf, instanceOf, server } = await rig(t);
  const whose = { holder: ALICE, instance: instanceOf("plain"), server: server("plain") };
  const front = sessions.openSse({ ...whose, outlet: NOBODY, requestId: "req_1" });
  sessions.sse.close(front);
  const body = Buffer.from(rpc(0, "initialize", { capabilities: {} }));
  const late = front.deliver({ body, messages: messagesOf(body.toString()), headers: [] });
  await assert.rejects(late, { code: "SESSION_NOT_FOUND" });
  assert.deepEqual([asked, whose.instance.usage.sessions], [[], 0]);
});

test("a credential, a user and a server end with all that was begun with them, and with no more", async (t) => {
  const { sessions, begin } = await rig(t);
  await begin();
  await begin({}, { holder: ALICE_ELSEWHERE });
  const kept = await begin({}, { holder: BOB, server: "each" });
  await begin({}, { holder: BOB, server: "all" });
  sessions.closeCredential(ALICE);
  assert.equal(sessions.count, 3);
  sessions.closeUser("alice");
  assert.equal(sessions.count, 2);
  sessions.closeServer("all");
  assert.equal(sessions.http.find(kept.session.id, by(kept.session, BOB)), kept);
  assert.equal(sessions.count, 1);
});

test("a session that nobody uses ends after sessionTtl", async (t) => {
  const { sessions, begin } = await rig(t);
  await begin();
  const now = performance.now();
  const clock = t.mock.method(performance, "now", () => now + 9 * 60_000);
  sessions.expire();
  assert.equal(sessions.count, 1);
  clock.mock.mockImplementation(() => now + 11 * 60_000);
  sessions.expire();
  assert.equal(sessions.count, 0);
});

test("when the daemon ends, a session that is bridged takes no new stream", async (t) => {
  const { sessions, begin } = await rig(t);
  const { session } = await begin();
  await sessions.finish(new SupervisorError("STOPPING", "the daemon is stopping"), 0);
  assert.throws(() => sessions.http.require(session.id, by(session)), {
    code: "SESSION_NOT_FOUND",
  });
  assert.deepEqual([sessions.count, session.instance.usage.sessions], [0, 0]);
});

test("when the daemon ends, no request is taken, and those under way are given up with the reason", async (t) => {
  const { sessions } = await rig(t);
  const given: SupervisorError[] = [];
  sessions.carried.add({ giveUp: (error) => given.push(error) });
  const stopping = new SupervisorError("STOPPING", "the daemon is stopping");
  assert.equal(sessions.refusal, undefined);
  await sessions.finish(stopping, 0);
  assert.equal(sessions.refusal, stopping);
  assert.deepEqual(
    given.map(({ code, cause }) => ({ code, cause })),
    [{ code: "INSTANCE_EXITED", cause: stopping }],
  );
});
