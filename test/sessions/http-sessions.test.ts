import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { Backends } from "../../src/sessions/backends.ts";
import { HttpRelay } from "../../src/sessions/http-relay.ts";
import { HttpSessions } from "../../src/sessions/http-sessions.ts";
import type { Credential } from "../../src/auth/principal.ts";
import { testInstance } from "../helpers/instance.ts";
import type { TestInstance } from "../helpers/instance.ts";
import { serve } from "../helpers/serve.ts";
import { by, forReturns } from "../helpers/session.ts";
import { until } from "../helpers/until.ts";

const MINUTE_MS = 60_000;
const URL_OF_CHILD = new URL("http://127.0.0.1:1/mcp");
const ALICE = { user: "alice", issuer: "key", credentialId: "k1" };

interface Rig {
  sessions: HttpSessions<HttpRelay>;
  child: TestInstance;
  open: (holder?: Credential) => Promise<HttpRelay>;
  /** Lets time go by, and looks for old sessions every minute. */
  pass: (ms: number) => void;
}

function rig(t: TestContext, ttlMs = 10 * MINUTE_MS): Rig {
  let now = 1000;
  t.mock.method(performance, "now", () => now);
  const sessions = new HttpSessions<HttpRelay>(ttlMs);
  const backends = new Backends();
  const child = testInstance();
  child.start(URL_OF_CHILD);
  return {
    sessions,
    child,
    open: async (holder = ALICE) => {
      const { instance } = child;
      const live = await instance.ensure();
      const options = {
        holder,
        instance,
        isStateful: true,
        staysBehind: false,
        resend: "never" as const,
        patienceMs: 0,
        backends,
        ...forReturns(),
      };
      const opened = new HttpRelay(options, live, "id-of-the-child");
      sessions.add(opened);
      return opened;
    },
    pass(ms) {
      for (const end = now + ms; now < end;) {
        const step = Math.min(MINUTE_MS, end - now);
        now += step;
        sessions.expire();
      }
    },
  };
}

const notFound = { code: "SESSION_NOT_FOUND", status: 404 };

test("a session has an id of the gateway's own that nobody can guess", async (t) => {
  const { open, sessions, child } = rig(t);
  const ids = new Set<string>();
  for (let i = 0; i < 100; i++) ids.add((await open()).session.id);
  assert.equal(ids.size, 100);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{22}$/);
  assert.equal(sessions.size, 100);
  assert.equal(child.instance.usage.sessions, 100);
});

test("a session that nobody uses is forgotten after its time to live, one in use is not", async (t) => {
  const { sessions, open, pass, child } = rig(t);
  const [used, idle] = [await open(), await open()];
  for (let i = 0; i < 12; i++) {
    pass(MINUTE_MS);
    sessions.require(used.session.id, by(child));
  }
  assert.throws(() => sessions.require(idle.session.id, by(child)), notFound);
  assert.equal(sessions.size, 1);
  assert.equal(child.instance.usage.sessions, 1);
  pass(12 * MINUTE_MS);
  assert.throws(() => sessions.require(used.session.id, by(child)), notFound);
  assert.equal(child.instance.usage.sessions, 0);
});

test("a session with an open request is in use for as long as that lasts", async (t) => {
  const { sessions, open, pass, child } = rig(t);
  const session = await open();
  const release = sessions.hold(session);
  const releaseOther = sessions.hold(session);
  releaseOther();
  pass(60 * MINUTE_MS);
  assert.equal(sessions.require(session.session.id, by(child)), session);
  release();
  pass(9 * MINUTE_MS);
  assert.equal(sessions.size, 1);
  pass(3 * MINUTE_MS);
  assert.equal(sessions.size, 0);
});

test("a session is found on its own instance alone", async (t) => {
  const { sessions, open, child } = rig(t);
  const { id } = (await open()).session;
  for (const other of [
    testInstance("bob", "one"),
    testInstance("alice", "two"),
    testInstance("alice", "one"),
  ]) {
    assert.throws(() => sessions.require(id, by(other)), notFound);
  }
  assert.throws(() => sessions.require("", by(child)), notFound);
  assert.throws(() => sessions.require("id-of-the-child", by(child)), notFound);
  assert.equal(sessions.require(id, by(child)).session.id, id);
});

test("a session is one key's, whoever else has a key of the user; a JWT's is its issuer's for that user", async (t) => {
  const { sessions, open, child } = rig(t);
  const other = { ...ALICE, credentialId: "k2" };
  const jwt = { ...ALICE, issuer: "idp", credentialId: "digest of one" };
  const byKey = (await open()).session;
  const byJwt = (await open(jwt)).session;
  for (const holder of [other, jwt, { ...ALICE, user: "bob" }])
    assert.throws(() => sessions.require(byKey.id, by(child, holder)), notFound);
  const next = { ...jwt, credentialId: "digest of the next" };
  assert.equal(sessions.require(byJwt.id, by(child, next)).session, byJwt);
  for (const holder of [ALICE, { ...next, issuer: "another" }, { ...next, user: "bob" }])
    assert.throws(() => sessions.require(byJwt.id, by(child, holder)), notFound);
});

test("a session of a stateful server is lost with the generation that held it, also when another is there", async (t) => {
  const { sessions, open, child } = rig(t);
  const session = await open();
  const other = await open();
  child.end("exited with code 1");
  assert.throws(() => sessions.require(session.session.id, by(child)), notFound);
  await child.instance.ensure();
  assert.throws(() => sessions.require(session.session.id, by(child)), notFound);
  assert.throws(() => sessions.require(other.session.id, by(child)), notFound);
  assert.equal(sessions.size, 0);
  const next = await open();
  assert.equal(sessions.require(next.session.id, by(child)), next);
});

test("a session of a stateful server with a call under way stays until that has ended, though nothing new is taken", async (t) => {
  const { sessions, open, child } = rig(t);
  const session = await open();
  const release = sessions.hold(session);
  child.end("exited with code 1");
  assert.throws(() => sessions.require(session.session.id, by(child)), notFound);
  assert.equal(sessions.size, 1);
  release();
  assert.throws(() => sessions.require(session.session.id, by(child)), notFound);
  assert.equal(sessions.size, 0);
});

test("a session that is closed twice counts once", async (t) => {
  const { sessions, open, child } = rig(t);
  const [session] = [await open(), await open()];
  sessions.close(session);
  sessions.close(session);
  assert.equal(child.instance.usage.sessions, 1);
  assert.throws(() => sessions.require(session.session.id, by(child)), notFound);
});

test("the sessions of one key, or of one user, end together and no other does", async (t) => {
  const { sessions, child, open } = rig(t);
  const [first, second, third] = [
    await open({ user: "alice", issuer: "key", credentialId: "k1" }),
    await open({ user: "alice", issuer: "key", credentialId: "k2" }),
    await open({ user: "bob", issuer: "key", credentialId: "k3" }),
  ];
  sessions.closeWhere(({ holder }) => holder.credentialId === "k1");
  assert.throws(
    () => sessions.require(first.session.id, by(child, first.session.holder)),
    notFound,
  );
  sessions.closeWhere(({ holder }) => holder.user === "bob");
  assert.throws(
    () => sessions.require(third.session.id, by(child, third.session.holder)),
    notFound,
  );
  assert.equal(sessions.require(second.session.id, by(child, second.session.holder)), second);
});

test("the server of a relayed session is told of its end once, unless it knows or is gone", async (t) => {
  const ended: string[] = [];
  const { url } = await serve(t, (req, res) => {
    ended.push(`${req.method} ${String(req.headers["mcp-session-id"])}`);
    res.end();
  });
  url.pathname = "/mcp";
  const child = testInstance();
  child.start(url);
  const { instance } = child;
  const [sessions, backends] = [new HttpSessions<HttpRelay>(MINUTE_MS), new Backends()];
  t.after(() => child.end("the test is over"));
  const open = async (childId: string): Promise<HttpRelay> => {
    const options = {
      holder: ALICE,
      instance,
      isStateful: true,
      staysBehind: false,
      resend: "never" as const,
      patienceMs: 0,
      backends,
      ...forReturns(),
    };
    const opened = new HttpRelay(options, await instance.ensure(), childId);
    sessions.add(opened);
    return opened;
  };
  sessions.close(await open("told"), true);
  const left = await open("left");
  sessions.close(left);
  left.close();
  await until(() => ended.length === 1, "it is told");
  await open("last");
  sessions.closeWhere(() => true);
  await until(() => ended.length === 2, "it is told of the next");
  const lost = await open("lost");
  child.end("exited with code 1");
  child.start(url);
  await instance.ensure();
  sessions.close(lost);
  const next = await open("next");
  sessions.close(next);
  await until(() => ended.length === 3, "it is told again");
  assert.deepEqual(ended, ["DELETE left", "DELETE last", "DELETE next"]);
  assert.equal(instance.usage.sessions, 0);
});
