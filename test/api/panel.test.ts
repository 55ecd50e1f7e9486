import assert from "node:assert/strict";
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { AdminSessions } from "../../src/api/admin-sessions.ts";
import type { OpenedSession } from "../../src/api/admin-sessions.ts";
import type { PanelLink, PanelSession } from "../../src/api/panel-types.ts";
import type { AuditLog } from "../../src/api/types.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { until } from "../helpers/until.ts";
import { openRig, shortFolder } from "./rig.ts";
import type { Answered, Rig } from "./rig.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ADMIN = { admin: { host: "127.0.0.1", port: 0 } };

/** A browser that has opened the panel, and its requests as those of the page. */
async function openPanel(t: TestContext, settings: object = {}, at?: string) {
  const rig = await openRig(t, { ...ADMIN, ...settings }, at);
  const tcp = rig.daemon.adminAddress ?? assert.fail();
  const own = { origin: `http://127.0.0.1:${tcp.port}`, "x-mcp-supervisor": "1" };
  const send = async (
    method: string,
    path: string,
    headers: Record<string, string> = own,
    body: unknown = {},
  ): Promise<Answered> => await rig.ask(method, path, { tcp, headers, body });
  const link = async (): Promise<{ link: PanelLink; code: string }> => {
    const made = (await rig.ask("POST", "/api/panel/links")).body as unknown as PanelLink;
    return { link: made, code: new URL(made.url).hash.slice(1) };
  };
  const signIn = async (body: unknown): Promise<Answered> =>
    await send("POST", "/api/panel/sessions", own, body);
  const session = async (): Promise<OpenedSession> => {
    const answered = await signIn({ code: (await link()).code });
    assert.equal(answered.status, 201, answered.text);
    return answered.body as unknown as OpenedSession;
  };
  const as = ({ session: secret }: OpenedSession): Record<string, string> => ({
    ...own,
    authorization: `Bearer ${secret}`,
  });
  return { ...rig, tcp, own, send, link, signIn, session, as };
}

const statusOf = async (answer: Promise<Answered>): Promise<[number, string?]> => {
  const { status, error } = await answer;
  return status < 300 ? [status] : [status, error.type];
};

const auditOf = async ({ ask }: Pick<Rig, "ask">): Promise<string[]> => {
  const log = (await ask("GET", "/api/audit")).body as unknown as AuditLog;
  return log.entries.map(({ what, who, outcome }) => `${who}: ${what}: ${outcome}`);
};

test("a link signs in once, and the audit says who asked for it and what its session did", async (t) => {
  const rig = await openPanel(t);
  const { link, code } = await rig.link();
  const { origin, pathname } = new URL(link.url);
  assert.deepEqual([origin, pathname], [rig.own.origin, "/panel"]);
  assert.ok(link.expiresAt - Date.now() <= 60_000);
  const opened = (await rig.signIn({ code })).body as unknown as OpenedSession;
  assert.equal(opened.id, link.id);
  assert.deepEqual(await statusOf(rig.signIn({ code })), [401, "KEY_INVALID"]);
  assert.deepEqual(
    await statusOf(rig.send("POST", "/api/users", rig.as(opened), { user: "al" })),
    [201],
  );
  const audit = await auditOf(rig);
  assert.match(audit[0] ?? "", /^(uid \d+|control socket): panel: ok$/);
  assert.deepEqual(audit.slice(1), [
    `admin session ${link.id}: panel sign in: ok`,
    `admin session ${link.id}: user add: ok`,
  ]);
  for (const secret of [code, opened.session]) assert.ok(!rig.logged().includes(secret));
});

test("by hand the admin token signs in, and nothing else does", async (t) => {
  const rig = await openPanel(t);
  const token = readFileSync(join(rig.dataDir, "admin.token"), "utf8");
  const opened = await rig.signIn({ token });
  assert.equal(opened.status, 201);
  const session = opened.body as unknown as OpenedSession;
  assert.deepEqual(await statusOf(rig.send("GET", "/api/users", rig.as(session))), [200]);
  for (const wrong of [{ token: "x" }, { code: "x" }, { code: token.trim() }, { token: 1 }])
    assert.deepEqual(await statusOf(rig.signIn(wrong)), [401, "KEY_INVALID"]);
  for (const wrong of [{}, { token, code: "x" }, { token, user: "a" }, []])
    assert.deepEqual(await statusOf(rig.signIn(wrong)), [400, "REQUEST_INVALID"]);
});

test("a session is over after sign-out, 30 idle minutes, 12 hours, and with the daemon", async (t) => {
  const dir = shortFolder(t);
  const rig = await openPanel(t, {}, dir);
  const [one, two] = [await rig.session(), await rig.session()];
  const look = async ({ session }: OpenedSession) =>
    await statusOf(rig.send("GET", "/api/users", { authorization: `Bearer ${session}` }));
  const listed = (await rig.send("GET", "/api/panel/sessions", rig.as(two))).body as {
    sessions?: PanelSession[];
  };
  assert.deepEqual(
    listed.sessions?.map(({ id, isOwn }) => [id, isOwn]),
    [
      [two.id, true],
      [one.id, false],
    ],
  );
  assert.deepEqual(await look(one), [200]);
  assert.deepEqual(
    await statusOf(rig.send("DELETE", "/api/panel/sessions/own", rig.as(one))),
    [200],
  );
  assert.deepEqual(await look(one), [401, "KEY_INVALID"]);
  assert.deepEqual(await look(two), [200]);
  const left = (await rig.link()).code;
  await rig.ask("DELETE", "/api/panel/sessions");
  assert.deepEqual(await look(two), [401, "KEY_INVALID"]);
  assert.deepEqual(await statusOf(rig.signIn({ code: left })), [401, "KEY_INVALID"]);
  const last = await rig.session();
  await rig.daemon.close();
  const next = await openPanel(t, {}, dir);
  assert.deepEqual(await statusOf(next.send("GET", "/api/users", next.as(last))), [
    401,
    "KEY_INVALID",
  ]);
});

test("sessions and links end by the clock, and there are not more than a hundred of each", (t) => {
  t.mock.timers.enable({ apis: ["Date", "setInterval"] });
  const sessions = new AdminSessions();
  const minutes = (count: number): void => t.mock.timers.tick(count * 60_000);
  const late = sessions.createLink("uid 0");
  minutes(1);
  assert.throws(() => sessions.redeem(late.code), { code: "KEY_INVALID" });
  const idle = sessions.open("uid 0");
  const { over } = sessions.find(idle.session) ?? assert.fail();
  minutes(29);
  assert.equal(over.aborted, false);
  minutes(1);
  assert.equal(over.aborted, true, "without anybody asking");
  assert.equal(sessions.find(idle.session), undefined);
  const busy = sessions.open("uid 0");
  for (let passed = 0; passed < 12 * 60 - 20; passed += 20) {
    minutes(20);
    (sessions.find(busy.session) ?? assert.fail()).lastSeenAt = Date.now();
  }
  minutes(20);
  assert.equal(sessions.find(busy.session), undefined, "12 hours");
  const first = sessions.createLink("uid 0");
  for (let i = 0; i < 100; i += 1) sessions.createLink("uid 0");
  assert.throws(() => sessions.redeem(first.code), { code: "KEY_INVALID" });
  const oldest = sessions.find(sessions.open("uid 0").session);
  for (let i = 0; i < 100; i += 1) sessions.open("uid 0");
  assert.equal(oldest?.over.aborted, true);
  assert.equal(sessions.list().length, 100);
  sessions.endAll();
});

test("what only a page of ours can send writes, anything else is 403 and has changed nothing", async (t) => {
  const rig = await openPanel(t, { publicUrl: "https://mcp.example.com/x" });
  const headers = rig.as(await rig.session());
  const { origin: _origin, ...without } = headers;
  const refused: Record<string, Record<string, string>> = {
    "no Origin": without,
    "another port": { ...headers, origin: "http://127.0.0.1:9999" },
    "another scheme": { ...headers, origin: rig.own.origin.replace("http", "https") },
    "another host": { ...headers, origin: "http://evil.example" },
    "a sandboxed frame": { ...headers, origin: "null" },
    "another of our names": { ...headers, origin: `http://localhost:${rig.tcp.port}` },
    "no header": { ...headers, "x-mcp-supervisor": "" },
    "another header": { ...headers, "x-mcp-supervisor": "0" },
    "a form": { ...headers, "content-type": "text/plain" },
    "a page of the same site": { ...headers, "sec-fetch-site": "same-site" },
    "a page of another site": { ...headers, "sec-fetch-site": "cross-site" },
    "an address that was typed": { ...headers, "sec-fetch-site": "none" },
  };
  for (const [name, given] of Object.entries(refused))
    for (const [method, path] of [
      ["POST", "/api/users"],
      ["PUT", "/api/users/alice/token"],
      ["PATCH", "/api/mcp/configs/1"],
      ["DELETE", "/api/panel/sessions"],
      ["POST", "/api/panel/sessions"],
    ] as const) {
      const answer = await statusOf(rig.send(method, path, given, { user: "mallory" }));
      assert.deepEqual(answer, [403, "ORIGIN_REFUSED"], `${name}: ${method} ${path}`);
    }
  assert.deepEqual((await rig.ask("GET", "/api/users")).body, { users: [] });
  const add = async (user: string, given: Record<string, string>) =>
    await statusOf(rig.send("POST", "/api/users", given, { user }));
  assert.deepEqual(await add("own", { ...headers, "sec-fetch-site": "same-origin" }), [201]);
  assert.deepEqual(await add("public", { ...headers, origin: "https://mcp.example.com" }), [201]);
  const forwarded = { ...headers, host: "localhost:18041", origin: "http://localhost:18041" };
  assert.deepEqual(await add("forwarded", forwarded), [201]);
  // Reads tell nothing to a page that may not read the answer, but a browser says where it is.
  const reads = async (given: object) =>
    await statusOf(rig.send("GET", "/api/users", { ...without, ...given }));
  assert.deepEqual(await reads({}), [200]);
  assert.deepEqual(await reads({ "sec-fetch-site": "same-site" }), [403, "ORIGIN_REFUSED"]);
  // A script has the token itself, and no page.
  const token = readFileSync(join(rig.dataDir, "admin.token"), "utf8").trim();
  assert.deepEqual(await add("script", { authorization: `Bearer ${token}` }), [201]);
});

test("the impersonation matrix of the control listener: every route, and whoever is not signed in to it", async (t) => {
  const secretFile = join(shortFolder(t), "jwt.secret");
  const jwtSecret = "0123456789abcdef0123456789abcdef";
  writeFileSync(secretFile, jwtSecret, { mode: 0o400 });
  const rig = await openPanel(t, { jwt: { issuers: [{ secretFile }] } });
  const added = await rig.ask("POST", "/api/users", { body: { user: "alice" } });
  const { secret } = added.body["key"] as { secret: string };
  const jwt = signedJwt(jwtSecret, { user_id: "alice", exp: inSeconds(3600) });
  const { code } = await rig.link();
  const [ended, session] = [await rig.session(), await rig.session()];
  await rig.send("DELETE", `/api/panel/sessions/${ended.id}`, rig.as(session));
  const bearer = (given: string) => ({ ...rig.own, authorization: `Bearer ${given}` });
  const strangers: Record<string, Record<string, string>> = {
    "no secret": rig.own,
    "a user's key": bearer(secret),
    "a user's JWT": bearer(jwt),
    "the code of a link": bearer(code),
    "a session that has ended": bearer(ended.session),
    "the id of a session": bearer(session.id),
    "the session as a cookie": {
      ...rig.own,
      cookie: `mcps-admin-session=${session.session}; __Host-mcps-session=${session.session}`,
    },
    "the session beside a key": {
      ...rig.own,
      authorization: `Bearer ${secret}, Bearer ${session.session}`,
    },
  };
  const pages: Record<string, Record<string, string>> = {
    "no page": { authorization: `Bearer ${session.session}` },
    "another page": { ...rig.as(session), origin: "http://127.0.0.1:1" },
    "a form": { ...rig.as(session), "content-type": "text/plain" },
  };
  const sources = globSync("src/api/*.ts", { cwd: ROOT }).map((file) =>
    readFileSync(join(ROOT, file), "utf8"),
  );
  const paths = sources
    .flatMap((text) => [...text.matchAll(/\bmount\(router, "([^"]+)"/g)].map((match) => match[1]!))
    .map((path) => `/api${path.replaceAll(/:\w+/g, "alice")}`);
  assert.ok(paths.length > 40);
  const query = `?token=${session.session}`;
  for (const path of [...paths, "/metrics", "/api/users/alice/logs?follow=1"])
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      const isSignIn = method === "POST" && path === "/api/panel/sessions";
      for (const [name, headers] of Object.entries(isSignIn ? {} : strangers)) {
        const where = path.includes("?") ? path : `${path}${query}`;
        const { status } = await rig.send(method, where, headers);
        assert.equal(status, 401, `${name}: ${method} ${path}`);
      }
      for (const [name, headers] of Object.entries(method === "GET" ? {} : pages)) {
        const { status } = await rig.send(method, path, headers);
        assert.equal(status, 403, `${name}: ${method} ${path}`);
      }
    }
  const { users } = (await rig.ask("GET", "/api/users")).body as { users: { user: string }[] };
  assert.deepEqual(
    users.map(({ user }) => user),
    ["alice"],
  );
  assert.deepEqual(await statusOf(rig.send("GET", "/api/users", rig.as(session))), [200]);
});

test("links are made on the socket alone, and where there is no listener it says so", async (t) => {
  const rig = await openPanel(t);
  const session = await rig.session();
  const token = readFileSync(join(rig.dataDir, "admin.token"), "utf8").trim();
  for (const headers of [rig.as(session), { authorization: `Bearer ${token}` }])
    assert.deepEqual(await statusOf(rig.send("POST", "/api/panel/links", headers)), [
      404,
      "NOT_FOUND",
    ]);
  const without = await openRig(t);
  const answered = await without.ask("POST", "/api/panel/links");
  assert.deepEqual([answered.status, answered.error.type], [409, "PANEL_OFF"]);
  assert.match(String(answered.error.details), /"admin": \{ "host"/);
});

test("a stream of a session is over within a second when the session is", async (t) => {
  const rig = await openPanel(t);
  await rig.ask("POST", "/api/users", { body: { user: "alice" } });
  const session = await rig.session();
  const path = "/api/users/alice/logs?follow=1";
  const stream = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { authorization: `Bearer ${session.session}` };
    request({ ...rig.tcp, path, headers, agent: false }, resolve)
      .on("error", reject)
      .end();
  });
  let isOver = false;
  stream.resume().on("error", () => undefined);
  stream.on("close", () => (isOver = true));
  assert.deepEqual(
    await statusOf(rig.send("DELETE", "/api/panel/sessions/own", rig.as(session))),
    [200],
  );
  await until(() => isOver, "the stream is over", 1_000);
});

test("the page is the same for everybody, from memory, with nothing that runs but its own, and at no other path", async (t) => {
  const rig = await openPanel(t);
  const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
    await fetch(new URL(path, rig.own.origin), { headers, redirect: "manual" });
  const page = await get("/panel", { "accept-language": "zh-CN" });
  assert.equal(page.status, 200);
  const html = await page.text();
  assert.match(html, /<html lang="zh">[^]*<noscript>/);
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=/);
  const policy = String(page.headers.get("content-security-policy"));
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"])
    assert.ok(policy.includes(part), policy);
  assert.match(policy, /require-trusted-types-for 'script'/);
  assert.equal(page.headers.get("cache-control"), "no-store");
  assert.equal(page.headers.get("set-cookie"), null);
  const files = [...html.matchAll(/(?:href|src)="([^"]+)"/g)].map((match) => match[1]!);
  let bytes = html.length;
  for (const file of new Set(files)) {
    const answer = await get(file);
    assert.equal(answer.status, 200, file);
    bytes += (await answer.arrayBuffer()).byteLength;
    const again = await get(file, { "if-none-match": String(answer.headers.get("etag")) });
    assert.equal(again.status, 304, file);
  }
  assert.ok(bytes < 150_000, `${bytes} bytes`);
  for (const path of ["/", "/panel/", "/panel/x", "/web/x.js", "/web/../panel/main.ts", "/me"])
    assert.equal((await get(path)).status, 401, path);
  assert.equal((await get("/.well-known/x")).status, 401);
});

test("whoever fails to sign in too often waits", async (t) => {
  const rig = await openPanel(t, { trustProxy: ["127.0.0.1"] });
  const from = { ...rig.own, "x-forwarded-for": "203.0.113.9" };
  const answers: number[] = [];
  for (let i = 0; i < 12; i += 1) {
    const body = i % 2 === 0 ? { code: "x" } : { token: "x" };
    answers.push((await rig.send("POST", "/api/panel/sessions", from, body)).status);
  }
  assert.deepEqual(answers, [...Array<number>(10).fill(401), 429, 429]);
});
