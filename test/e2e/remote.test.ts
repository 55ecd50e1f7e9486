import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { runCli, startDaemon } from "../helpers/daemon.ts";
import { bearer, call, initialize, json, modernCall, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { REMOTE_ENDPOINT, REMOTE_SESSION, record } from "../helpers/recorder.ts";
import type { Recorder, Reply } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

const HEADERS = { Authorization: "Bearer ${token}", "X-User": "user ${user}" };

/** Both kinds of remote server on the recorder, under a path of the user's own. */
const serversAt = (origin: string) => ({
  one: { url: `${origin}/sse/\${user}`, type: "sse", headers: HEADERS },
  two: { url: `${origin}/mcp/\${user}`, headers: HEADERS },
});

async function startRemote(
  t: TestContext,
  reply?: Reply,
): Promise<{ rig: Alice; remote: Recorder }> {
  const remote = await record(t, reply);
  return { rig: await startForAlice(t, serversAt(remote.origin)), remote };
}

interface Refusal {
  status: number;
  type: string | undefined;
  isRpc: boolean;
  id: unknown;
}

/** A refusal of the gateway's, in either shape. */
function refusal({ status, body }: Answer): Refusal {
  const { error, id, jsonrpc } = JSON.parse(body) as {
    jsonrpc?: string;
    id?: unknown;
    error: { type?: string; data?: { type: string } };
  };
  return { status, type: error.type ?? error.data?.type, isRpc: jsonrpc === "2.0", id };
}

/** The error that an SSE session was told last, on its stream, once it has been told so many. */
async function lastError(
  stream: EventStream,
  count: number,
): Promise<Pick<Refusal, "status" | "type" | "id">> {
  await until(() => stream.messages().length >= count, "the client is told");
  const { id, error } = stream.messages().at(-1)!;
  return { status: error?.code ?? 0, type: error?.data?.type, id };
}

test("a remote gets the user's own token on every request, whatever the client sends, and no key", async (t) => {
  const remote = await record(t);
  const daemon = await startDaemon(t, {
    config: { servers: serversAt(remote.origin), defaultServer: "one" },
  });
  const secrets: string[] = [];
  for (const user of ["alice", "bob"]) {
    const { secret } = (await daemon.addUser(user, `token-of-${user}`)).key;
    secrets.push(secret);
    const before = remote.requests.length;
    const own = [...bearer(secret), ...json, "X-User", "user of the client", "cookie", "a=b"];
    const post = (path: string, body: string, headers: string[] = []) =>
      ask(daemon.port, { method: "POST", path, body, headers: [...own, ...headers] });
    const sse = await EventStream.open(daemon.port, {
      path: `/u/${user}/one/sse`,
      headers: own,
    });
    t.after(() => sse.close());
    const endpoint = await until(() => sse.endpoint, "the endpoint has come");
    assert.equal((await post(endpoint, initialize())).status, 202);
    const path = `/u/${user}/two/mcp`;
    const hello = await post(path, initialize());
    const session = ["mcp-session-id", String(hello.headers["mcp-session-id"])];
    const events = await EventStream.open(daemon.port, { path, headers: [...own, ...session] });
    t.after(() => events.close());
    assert.equal((await post(path, rpc(1, "x"), session)).status, 200);
    const headers = [...own, ...session];
    assert.equal((await ask(daemon.port, { method: "DELETE", path, headers })).status, 200);

    const seen = remote.requests.slice(before);
    assert.deepEqual(
      seen.map((request) => [request.method, request.path]),
      [
        ["GET", `/sse/${user}`],
        ["POST", REMOTE_ENDPOINT],
        ["POST", `/mcp/${user}`],
        ["GET", `/mcp/${user}`],
        ["POST", `/mcp/${user}`],
        ["DELETE", `/mcp/${user}`],
      ],
    );
    for (const request of seen) {
      assert.equal(request.headers.authorization, `Bearer token-of-${user}`);
      assert.equal(request.headers["x-user"], `user ${user}`);
      assert.equal(request.names.filter((name) => /^authorization$/i.test(name)).length, 1);
      assert.equal(request.headers.cookie, undefined);
      const told = JSON.stringify([request.headers, request.path]);
      for (const secretOfOne of secrets) assert.equal(told.includes(secretOfOne), false);
    }
  }
  assert.doesNotMatch(daemon.log(), /token-of-/);
});

test("a remote that needs a token is refused to a user without one, until there is one", async (t) => {
  const remote = await record(t);
  const rig = await startForAlice(t, serversAt(remote.origin));
  await rig.daemon.cli(["token", "clear", "alice"]);
  const sse = await rig.stream("/u/alice/one/sse");
  const endpoint = await until(() => sse.endpoint, "the endpoint has come");
  assert.equal((await rig.post(endpoint, initialize(5))).status, 202);
  const overSse = await lastError(sse, 1);
  const overHttp = refusal(await rig.post("/u/alice/two/mcp", initialize(5)));
  assert.deepEqual(overSse, { status: 503, type: "TOKEN_MISSING", id: 5 });
  assert.deepEqual(overHttp, { status: 503, type: "TOKEN_MISSING", isRpc: true, id: 5 });
  assert.equal(remote.requests.length, 0);
  await rig.daemon.cli(["token", "set", "alice", "--token-stdin"], { input: "late" });
  // The stream that was refused a child is still the session's.
  assert.equal((await rig.post(endpoint, initialize())).status, 202);
  assert.equal((await rig.post("/u/alice/two/mcp", initialize())).status, 200);
  for (const { headers } of remote.requests) assert.equal(headers.authorization, "Bearer late");
});

test("a remote's 401 is the gateway's 502 and starts no login; its 403 is its own affair", async (t) => {
  const challenge = {
    "www-authenticate": 'Bearer resource_metadata="http://evil.example/"',
    "content-length": "0",
  };
  let refused: string | undefined = "/sse";
  let status = 401;
  const { rig } = await startRemote(t, ({ path }, res) => {
    if (refused === undefined || !path.startsWith(refused)) return false;
    return void res.writeHead(status, challenge).end();
  });
  const sse = await rig.stream("/u/alice/one/sse");
  const endpoint = await until(() => sse.endpoint, "the endpoint has come");
  const askAll = async (path: string) => {
    const answers: Answer[] = [];
    // More than once: a connection on which something was refused must not spoil the next request.
    for (let i = 0; i < 3; i++) answers.push(await rig.post(path, initialize(7)));
    for (const { headers } of answers) assert.equal(headers["www-authenticate"], undefined);
    return answers;
  };
  for (const [i, path] of ["/sse", "/messages"].entries()) {
    refused = path;
    for (const answer of await askAll(endpoint)) assert.equal(answer.status, 202);
    assert.deepEqual(await lastError(sse, 3 * (i + 1)), {
      status: 502,
      type: "UPSTREAM_INVALID",
      id: 7,
    });
  }
  assert.equal(sse.messages().length, 6);
  refused = "/mcp";
  for (const answer of await askAll("/u/alice/two/mcp")) {
    const expected = { status: 502, type: "UPSTREAM_INVALID", isRpc: true, id: 7 };
    assert.deepEqual(refusal(answer), expected);
  }
  status = 403;
  for (const answer of await askAll("/u/alice/two/mcp")) assert.equal(answer.status, 403);
  refused = undefined;
  assert.equal((await rig.post(endpoint, initialize())).status, 202);
  assert.equal((await rig.post("/u/alice/two/mcp", initialize())).status, 200);
  assert.equal((await rig.row("one")).inFlight, 0);
});

test("a redirect to the same origin is followed with method, body and token; the client sees none", async (t) => {
  const { rig, remote } = await startRemote(t, ({ path }, res) => {
    if (path.endsWith("/") || path.startsWith(REMOTE_ENDPOINT)) return false;
    const location = path.startsWith("/mcp") ? `${path}/` : new URL(`${path}/`, remote.origin).href;
    return void res.writeHead(307, { location, "content-length": "0" }).end();
  });
  const { endpoint } = await rig.sse("one");
  assert.equal((await rig.post(endpoint, rpc(1, "x"))).status, 202);
  const session = await rig.http("two");
  for (let i = 0; i < 3; i++)
    assert.equal((await rig.post("/u/alice/two/mcp", rpc(i, "x"), session)).status, 200);
  const events = await rig.stream("/u/alice/two/mcp", session);
  assert.equal(events.status, 200);
  const [first, second] = remote.requests.filter(({ method }) => method === "POST").slice(2);
  assert.deepEqual([first?.path, second?.path], ["/mcp/alice", "/mcp/alice/"]);
  assert.ok(first!.body.length > 0 && first!.body.equals(second!.body));
  for (const { headers } of remote.requests)
    assert.equal(headers.authorization, "Bearer token-of-alice");
});

test("a redirect or an endpoint on another origin is refused, and that origin hears nothing", async (t) => {
  const other = await record(t);
  let isRedirected = true;
  const { rig, remote } = await startRemote(t, ({ path }, res) => {
    if (isRedirected) return void res.writeHead(308, { location: other.origin + path }).end("gone");
    if (!path.startsWith("/sse")) return false;
    res.writeHead(200, { "content-type": "text/event-stream" });
    return void res.write(`event: endpoint\ndata: ${other.origin}/messages\n\n`);
  });
  const sse = await rig.stream("/u/alice/one/sse");
  const endpoint = await until(() => sse.endpoint, "the endpoint has come");
  assert.equal((await rig.post(endpoint, initialize())).status, 202);
  assert.deepEqual(await lastError(sse, 1), { status: 502, type: "UPSTREAM_INVALID", id: 0 });
  const answer = await rig.post("/u/alice/two/mcp", initialize());
  assert.equal(refusal(answer).status, 502);
  assert.equal(refusal(answer).type, "UPSTREAM_INVALID");
  assert.equal(answer.headers.location, undefined);
  assert.equal(remote.requests.length, 2, "nor is anything sent again to the first one");
  isRedirected = false;
  assert.equal((await rig.post(endpoint, initialize(1))).status, 202);
  assert.deepEqual(await lastError(sse, 2), { status: 502, type: "UPSTREAM_INVALID", id: 1 });
  for (const text of [sse.text, answer.body]) assert.equal(text.includes(other.origin), false);
  assert.equal(remote.streams.size, 0);
  assert.deepEqual(other.requests, []);
});

test("sessions have ids of the gateway's own; DELETE ends one, and every other id is unknown", async (t) => {
  const { rig, remote } = await startRemote(t);
  const path = "/u/alice/two/mcp";
  const hello = await rig.post(path, initialize());
  const id = String(hello.headers["mcp-session-id"]);
  assert.match(id, /^[\w-]{22}$/);
  const session = ["mcp-session-id", id];
  const called = await rig.post(path, rpc(1, "x"), session);
  assert.equal(called.status, 200);
  for (const { headers, body } of [hello, called])
    assert.equal((JSON.stringify(headers) + body).includes(REMOTE_SESSION), false);
  assert.equal(remote.requests.at(-1)!.headers["mcp-session-id"], REMOTE_SESSION);
  assert.equal((await rig.row("two")).sessions, 1);

  const unknown = async (method: "POST" | "GET" | "DELETE", sessionId: string) => {
    const headers = [...rig.auth, ...json, "mcp-session-id", sessionId];
    const body = method === "POST" ? rpc("x", "x") : undefined;
    const before = remote.requests.length;
    const answer = await ask(rig.daemon.port, { method, path, headers, body });
    assert.equal(answer.status, 404, `${method} ${sessionId}`);
    const { type, isRpc } = refusal(answer);
    assert.deepEqual([type, isRpc], ["SESSION_NOT_FOUND", method === "POST"]);
    assert.equal(remote.requests.length, before, "the remote was not asked");
  };
  for (const wrong of [REMOTE_SESSION, "x", "", `${id}x`, `${id}, ${id}`]) {
    await unknown("POST", wrong);
    await unknown("GET", wrong);
    await unknown("DELETE", wrong);
  }
  const headers = [...rig.auth, ...session];
  const ended = await ask(rig.daemon.port, { method: "DELETE", path, headers });
  assert.equal(ended.status, 200);
  assert.equal(remote.requests.at(-1)!.headers["mcp-session-id"], REMOTE_SESSION);
  await unknown("POST", id);
  assert.equal((await rig.row("two")).sessions, 0);
});

test("a session id on a refusal, or on an answer to anything but initialize, is not a session", async (t) => {
  let status = 400;
  const { rig } = await startRemote(t, ({ method, body }, res) => {
    if (method !== "POST" || status === 0) return false;
    const isFirst = body.includes("initialize");
    res.writeHead(isFirst ? status : 200, { "mcp-session-id": "fresh" });
    return void res.end("{}");
  });
  for (const body of [initialize(), rpc(1, "x")]) {
    const answer = await rig.post("/u/alice/two/mcp", body);
    assert.equal(answer.headers["mcp-session-id"], undefined);
  }
  assert.equal((await rig.row("two")).sessions, 0);
  // A server that does not let go of its sessions keeps them here, too: the client may go on.
  status = 0;
  const session = await rig.http("two");
  assert.equal((await rig.row("two")).sessions, 1);
  assert.equal((await rig.post("/u/alice/two/mcp", call(1, "x"), session)).status, 200);
});

test("a remote that is down is told as such, and found when it is up", async (t) => {
  const { rig, remote } = await startRemote(t);
  await remote.down();
  const sse = await rig.stream("/u/alice/one/sse");
  const endpoint = await until(() => sse.endpoint, "the endpoint has come");
  assert.equal((await rig.post(endpoint, initialize())).status, 202);
  assert.deepEqual(await lastError(sse, 1), { status: 502, type: "UPSTREAM_REFUSED", id: 0 });
  const { status, type } = refusal(await rig.post("/u/alice/two/mcp", initialize()));
  assert.deepEqual([status, type], [502, "UPSTREAM_REFUSED"]);
  await remote.up();
  assert.equal((await rig.post(endpoint, initialize())).status, 202);
  assert.equal((await rig.post("/u/alice/two/mcp", initialize())).status, 200);
});

test("link-local addresses are refused in the config, and where a user's name completes one", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      servers: { one: { url: "http://169.254.169.${user}/mcp" } },
      defaultServer: "one",
    },
  });
  const { key } = await daemon.addUser("254");
  const answer = await ask(daemon.port, {
    method: "POST",
    path: "/u/254/mcp",
    headers: [...bearer(key.secret), ...json],
    body: initialize(),
  });
  assert.deepEqual(refusal(answer), {
    status: 502,
    type: "UPSTREAM_REFUSED",
    isRpc: true,
    id: 0,
  });
  const servers = {
    a: { url: "http://169.254.169.254/latest" },
    b: { url: "http://[fe80::1]/sse" },
    c: { url: "http://[::ffff:169.254.169.254]/mcp" },
  };
  const file = join(daemon.dir, "refused.json");
  writeFileSync(file, JSON.stringify({ servers, defaultServer: "a" }));
  const { code, stderr } = await runCli(["--json", "config", "check", "--config", file]);
  assert.equal(code, 78);
  const { details } = (JSON.parse(stderr) as { error: { details: string[] } }).error;
  assert.equal(details.filter((line) => /^servers\.[abc]\.url: .*link-local/.test(line)).length, 3);
});

test("a session that grew old is ended at its server too, with the server's own id and headers", async (t) => {
  const remote = await record(t);
  const rig = await startForAlice(t, serversAt(remote.origin), { sessionTtl: "1s" });
  await rig.http("two");
  const end = await until(
    () => remote.requests.find(({ method }) => method === "DELETE"),
    "the server is told",
  );
  assert.equal(end.path, "/mcp/alice");
  assert.equal(end.headers["mcp-session-id"], REMOTE_SESSION);
  assert.equal(end.headers["x-user"], "user alice");
});

test("no header name reaches a server twice: what is the protocol's stays ours, of the rest the server's own counts", async (t) => {
  const remote = await record(t);
  const own = {
    "Content-Type": "text/own",
    Accept: "text/own",
    "Accept-Encoding": "gzip",
    "User-Agent": "own",
    "accept-Language": "own",
    "Cache-Control": "own",
  };
  const rig = await startForAlice(t, {
    one: { url: `${remote.origin}/sse`, type: "sse", headers: own },
    two: { url: `${remote.origin}/mcp`, headers: own },
  });
  const client = ["user-agent", "client", "accept-language", "en", "Accept-Language", "de"];
  const version = ["mcp-protocol-version", "2025-06-18"];
  const speak = async (server: "one" | "two"): Promise<void> => {
    const hello = await rig.post(`/u/alice/${server}/mcp`, initialize(), client);
    const session = ["mcp-session-id", String(hello.headers["mcp-session-id"]), ...version];
    const post = (body: string) =>
      rig.post(`/u/alice/${server}/mcp`, body, [...session, ...client]);
    assert.equal((await post(rpc(1, "tools/list"))).status, 200);
    const sse = await rig.stream(`/u/alice/${server}/sse`, client);
    const endpoint = await until(() => sse.endpoint, "the endpoint has come");
    for (const body of [initialize(), rpc(1, "tools/list")])
      assert.equal((await rig.post(endpoint, body, [...version, ...client])).status, 202);
    await until(() => sse.messages().length === 2, "both are answered");
  };
  await speak("one");
  await speak("two");
  const asked = modernCall([...rig.auth, ...client], 9, { name: "x", arguments: {} });
  assert.equal((await ask(rig.daemon.port, { ...asked, path: "/u/alice/two/mcp" })).status, 200);
  assert.ok(remote.requests.length >= 10);
  for (const { method, path, names, headers } of remote.requests) {
    const where = `${method} ${path} ${JSON.stringify(headers)}`;
    const lower = names.map((name) => name.toLowerCase());
    assert.deepEqual(lower, [...new Set(lower)], where);
    assert.equal(headers.host, remote.host, where);
    assert.equal(headers["accept-encoding"], "identity", where);
    if (method === "POST") assert.equal(headers["content-type"], "application/json", where);
    if (!path.startsWith("/messages")) assert.notEqual(headers.accept, "text/own", where);
    for (const name of ["user-agent", "accept-language", "cache-control"] as const)
      assert.equal(headers[name], "own", where);
  }
  const bodies = remote.requests.filter(({ body }) => body.includes("tools/list"));
  for (const { path, headers } of bodies)
    if (path === "/mcp") assert.equal(headers["mcp-session-id"], REMOTE_SESSION);
});
