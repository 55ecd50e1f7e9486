import assert from "node:assert/strict";
import { request as requestOf } from "node:http";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { fixture, initialize, modernCall, rpc } from "../helpers/fixtures.ts";
import { ask, missingForBrowsers } from "../helpers/raw-http.ts";
import type { RawRequest } from "../helpers/raw-http.ts";
import { REMOTE_ENDPOINT, record } from "../helpers/recorder.ts";

const PAGE = "<!doctype html><script>alert(document.domain)</script>";

/** What a server writes as its content type, and what a browser gets to see. */
const TYPES: readonly (readonly [string | undefined, string])[] = [
  ["application/json", "application/json"],
  ["Application/JSON ; charset=utf-8", "Application/JSON ; charset=utf-8"],
  ["text/plain;charset=latin1", "text/plain;charset=latin1"],
  [undefined, "text/plain"],
  ["", "text/plain"],
  ["text/html", "text/plain"],
  ["Text/HTML;charset=utf-8", "text/plain"],
  ["application/xhtml+xml", "text/plain"],
  ["image/svg+xml", "text/plain"],
  ["text/xml", "text/plain"],
  ["multipart/x-mixed-replace; boundary=x", "text/plain"],
  ["application/javascript", "text/plain"],
  ["application/json, text/html", "text/plain"],
  ["application/json;charset=utf-8, text/html", "text/plain"],
  ["application/jsonx", "text/plain"],
  ["nonsense", "text/plain"],
];

test("what a server serves as a page, or as nothing, is plain text on every MCP route, bytes and status unchanged", async (t) => {
  let type: (typeof TYPES)[number][0];
  let status = 200;
  let isGreeting = true;
  const remote = await record(t, ({ method, path }, res) => {
    const isStream = method === "GET" && path.startsWith("/sse");
    if (isGreeting || isStream) return false;
    res.writeHead(status, type === undefined ? {} : { "content-type": type });
    return void res.end(PAGE);
  });
  const rig = await startForAlice(t, {
    one: { url: `${remote.origin}/mcp` },
    two: { url: `${remote.origin}/sse` },
  });
  const session = await rig.http("one");
  const { endpoint } = await rig.sse("two");
  isGreeting = false;
  let calls = 0;
  const key = rig.auth[1]!.replace("Bearer ", "");
  const ROUTES: readonly [string, string, string[]][] = [
    ["GET", `/u/alice/one/mcp?token=${key}`, []],
    ["GET", "/u/alice/one/mcp", [...rig.auth, ...session]],
    ["POST", "/u/alice/one/mcp", [...rig.auth, ...session]],
    ["POST", endpoint, rig.auth],
  ];
  for (const [written, shown] of TYPES) {
    type = written;
    // Of a GET that is refused with 400 the gateway takes a second to believe it.
    for (status of written === "text/html" ? [200, 400, 403, 502] : [200, 403, 502]) {
      const asked: RawRequest[] = ROUTES.flatMap(([method, path, headers]) => {
        // To a message it says that the server has forgotten the session, which is begun anew.
        if (status === 400 && method === "POST") return [];
        const body = method === "POST" ? { body: rpc((calls += 1), "x") } : {};
        return { method, path, headers, ...body };
      });
      // Of 2026-07-28, which has no sessions.
      asked.push(modernCall(rig.auth, (calls += 1), { name: "x", arguments: {} }));
      for (const request of asked) {
        const where = `${request.method} ${request.path}: ${status} ${written ?? "nothing"}`;
        const answer = await ask(rig.daemon.port, request);
        assert.equal(answer.headers["content-type"], shown, where);
        assert.equal(answer.body, PAGE, where);
        assert.equal(answer.status, status, where);
        assert.deepEqual(missingForBrowsers(answer), [], where);
      }
    }
  }
  // Last, because it ends the session.
  [type, status] = ["text/html", 200];
  const headers = [...rig.auth, ...session];
  const ended = await ask(rig.daemon.port, { method: "DELETE", path: "/u/alice/one/mcp", headers });
  assert.deepEqual([ended.headers["content-type"], ended.body], ["text/plain", PAGE]);
  assert.ok(remote.requests.some(({ path }) => path === REMOTE_ENDPOINT));
});

test("answers of the gateway's own are no pages either, on streams, without a body and over bridges", async (t) => {
  const remote = await record(t);
  const rig = await startForAlice(t, {
    one: { url: `${remote.origin}/mcp` },
    two: { url: `${remote.origin}/sse` },
  });
  const session = await rig.http("two");
  const sse = await rig.stream("/u/alice/one/sse");
  const events = await rig.stream("/u/alice/two/mcp", session);
  const relayed = await rig.stream("/u/alice/one/mcp", await rig.http("one"));
  for (const { headers } of [sse, events, relayed]) {
    assert.equal(headers["content-type"], "text/event-stream");
    assert.deepEqual(missingForBrowsers({ headers }), []);
  }
  const path = "/u/alice/two/mcp";
  const note = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });
  const plain = [
    await rig.post(path, note, session),
    await ask(rig.daemon.port, { method: "DELETE", path, headers: [...rig.auth, ...session] }),
    await ask(rig.daemon.port, { method: "OPTIONS", path }),
  ];
  assert.deepEqual(
    plain.map(({ status }) => status),
    [202, 200, 204],
  );
  const json = [
    await rig.post(path, initialize()),
    await rig.post(path, "{"),
    await rig.post("/u/alice/nowhere/mcp", note),
    await rig.post("/u/alice/nowhere", note),
    await ask(rig.daemon.port, { path: "/u/alice/.well-known/oauth-protected-resource" }),
  ];
  for (const [type, answers] of Object.entries({ "text/plain": plain, "application/json": json }))
    for (const answer of answers) {
      assert.equal(answer.headers["content-type"], type);
      assert.deepEqual(missingForBrowsers(answer), []);
    }
  const health = await ask(rig.daemon.port, { path: "/health" });
  assert.match(String(health.headers["content-type"]), /^application\/json/);
  assert.deepEqual(missingForBrowsers(health), []);
});

test("every answer of the control API says that it is what its type says, on the socket and on TCP", async (t) => {
  const rig = await startForAlice(
    t,
    { one: { url: "http://127.0.0.1:9/mcp" } },
    { admin: { host: "127.0.0.1", port: 0 } },
  );
  const { socket, admin } = rig.daemon;
  for (const where of [{ socketPath: socket }, { port: admin!.port }]) {
    for (const path of ["/api/status", "/api/nothing", "/api/%zz", "/metrics", "/"]) {
      const sniffed = await new Promise((resolve, reject) => {
        const req = requestOf({ ...where, path, agent: false }, (res) => {
          res.resume();
          resolve(res.headers["x-content-type-options"]);
        });
        req.on("error", reject).end();
      });
      assert.equal(sniffed, "nosniff", path);
    }
  }
});

test("who opens a personal URL in a browser without a key is told in words what it is", async (t) => {
  const { daemon, auth } = await startForAlice(t, { one: fixture("sse", "echo-sse") });
  const get = async (accept: string, headers: string[] = [], path = "/u/alice/mcp") =>
    await ask(daemon.port, { path, headers: ["accept", accept, ...headers] });
  const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
  const client = await get("*/*");
  const { message } = (JSON.parse(client.body) as { error: { message: string } }).error;
  for (const path of ["/u/alice/mcp", "/u/alice/one/sse", "/u/nobody/mcp"]) {
    const person = await get(browser, [], path);
    assert.deepEqual(
      [person.status, person.headers["content-type"]],
      [client.status, "text/plain; charset=utf-8"],
      path,
    );
    assert.equal(person.headers["www-authenticate"], client.headers["www-authenticate"]);
    assert.ok(person.body.startsWith(`${message}\n\nThis is the address of an MCP server`));
    assert.deepEqual(missingForBrowsers(person), []);
    assert.doesNotMatch(person.body, /alice|nobody/);
    assert.ok(person.body.includes(`: ${daemon.origin}/me\n`), "the users' own page");
  }
  for (const accept of [
    "application/json, text/html",
    "text/html;q=0.4, text/event-stream;q=0.5",
    "text/event-stream",
    "text/html;q=0",
  ])
    assert.equal((await get(accept)).headers["content-type"], "application/json", accept);
  const wrongKey = await get(browser, ["authorization", "Bearer mcps_nonsense"]);
  assert.equal(wrongKey.headers["content-type"], "application/json");
  assert.notEqual((await get(browser, auth)).status, 401);
});
