import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { startForAlice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

const config = {
  servers: { one: echoServer("sse"), two: echoServer("http") },
  defaultServer: "one",
  limits: { bodyBytes: "64K" },
};

/** Sends bytes and resolves with all that comes back until the connection ends or `enough` is seen. */
function exchange(port: number, bytes: string, enough: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (enough.test(text)) socket.destroy();
    });
    socket.once("close", () => resolve(text));
    socket.once("error", reject);
    socket.write(bytes);
  });
}

test("bodies that are not JSON, not JSON-RPC or over the limit: a clear error, and the next message works", async (t) => {
  const daemon = await startDaemon(t, { config });
  const { port } = daemon;
  const { key } = await daemon.addUser("alice");
  const headers = [...bearer(key.secret), ...json];
  const stream = await EventStream.open(port, {
    path: "/u/alice/sse",
    headers: bearer(key.secret),
  });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  const both = ["/u/alice/two/mcp", endpoint];

  for (const path of both) {
    const isHttp = path.endsWith("/mcp");
    for (const [body, code] of [
      ["", -32700],
      ["{", -32700],
      ["\0\x01\x02", -32700],
      ['{"jsonrpc":"2.0","id":1,"method":"ping"}}', -32700],
      ["[]", -32600],
      ["42", -32600],
      ['{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', -32600],
      ['{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600],
      ['{"jsonrpc":"2.0","id":null,"method":"tools/list"}', -32600],
      ['{"jsonrpc":"2.0","method":"notifications/initialized", "\\u0069d" : null }', -32600],
      [`[${call(1, "echo")},{"jsonrpc":"2.0","id":null,"method":"ping"}]`, -32600],
    ] as const) {
      const answer = await ask(port, { method: "POST", path, headers, body });
      assert.equal(answer.status, 400, body);
      const { error } = JSON.parse(answer.body) as {
        error: { code: number; type?: string; data?: { type: string; requestId: string } };
      };
      assert.equal(error.code, isHttp ? code : 400, body);
      assert.equal(isHttp ? error.data?.type : error.type, "REQUEST_INVALID");
    }
    const large = await ask(port, {
      method: "POST",
      path,
      headers,
      body: call(1, "echo", { message: "x".repeat(70_000) }),
    });
    assert.equal(large.status, 413);
    assert.match(large.body, /BODY_TOO_LARGE/);
    const chunked = await exchange(
      port,
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${key.secret}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n11170\r\n${"x".repeat(70_000)}\r\n0\r\n\r\n`,
      /requestId":"[^"]+"/,
    );
    assert.match(chunked, /^HTTP\/1\.1 413 /);
    // Half a body, and then nobody.
    const half = connect(port, "127.0.0.1");
    half.write(
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${key.secret}\r\ncontent-length: 100\r\n\r\n{"jsonrpc`,
    );
    await new Promise<void>((resolve) => half.once("connect", () => half.end(resolve)));
    half.destroy();
    assert.equal(
      (await ask(port, { method: "POST", path, headers, body: initialize() })).status,
      isHttp ? 200 : 202,
    );
  }
  await until(() => stream.messages().length === 1, "the session goes on");
});

test("what is not HTTP gets a JSON refusal and hurts nobody", async (t) => {
  const daemon = await startDaemon(t, { config });
  for (const [bytes, status] of [
    ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400],
    [
      "GET / HTTP/1.1\r\nhost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
    ],
    [`GET / HTTP/1.1\r\nhost: localhost\r\nx: ${"y".repeat(20_000)}\r\n\r\n`, 431],
    ["GET /health HTTP/1.1\r\n\r\n", 403],
    ["GET /health HTTP/1.1\r\nhost: evil.example\r\n\r\n", 403],
    ["GET /health HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n", 403],
    ["GET /health HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n\r\n", 403],
  ] as const) {
    const text = await exchange(daemon.port, bytes, /requestId":"[^"]+"/);
    assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `), JSON.stringify(bytes.slice(0, 60)));
    assert.match(text, /\r\n\r\n\{"error":\{"code":\d+,"type":"[A-Z_]+"/);
  }
  assert.equal((await ask(daemon.port, { path: "/health" })).status, 200);
});

test("paths that are nothing are JSON 404s, and places of OAuth need no key to say so", async (t) => {
  const daemon = await startDaemon(t, {
    config: { ...config, publicUrl: "http://localhost/team" },
  });
  const { key } = await daemon.addUser("alice");
  for (const path of [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server/u/alice/sse",
    "/u/alice/sse/.well-known/openid-configuration",
    "/team/.well-known/openid-configuration",
    "/register",
    "/authorize",
    "/token",
  ]) {
    const answer = await ask(daemon.port, { path });
    assert.equal(answer.status, 404, path);
    assert.match(answer.body, /"type":"NOT_FOUND"/);
  }
  for (const path of ["/", "/x", "/u", "/u/alice", "/u/alice/x", "/favicon.ico"]) {
    assert.equal((await ask(daemon.port, { path })).status, 401, path);
    const answer = await ask(daemon.port, { path, headers: bearer(key.secret) });
    assert.equal(answer.status, 404, path);
    assert.match(answer.body, /"type":"NOT_FOUND"/);
  }
  const options = await ask(daemon.port, { method: "OPTIONS", path: "/u/alice/mcp" });
  assert.deepEqual(
    [options.status, options.headers["access-control-allow-origin"]],
    [204, undefined],
  );
});

test("feeling one's way starts no child: 405 with Allow for what a path does not do", async (t) => {
  const daemon = await startDaemon(t, { config });
  const { key } = await daemon.addUser("alice");
  for (const [method, path, allow] of [
    ["POST", "/u/alice/sse", "GET"],
    ["HEAD", "/u/alice/sse", "GET"],
    ["DELETE", "/u/alice/sse/", "GET"],
    ["GET", "/u/alice/messages?session_id=x", "POST"],
    ["PUT", "/u/alice/two/mcp", "POST, GET, DELETE"],
    ["GET", "/u/alice/two/mcp", undefined],
    ["DELETE", "/u/alice/two/mcp", undefined],
  ] as const) {
    const answer = await ask(daemon.port, { method, path, headers: bearer(key.secret) });
    assert.equal(answer.status, 405, `${method} ${path}`);
    if (allow !== undefined) assert.equal(answer.headers.allow, allow);
    assert.equal(answer.body.includes("jsonrpc"), false);
  }
  const health = JSON.parse((await ask(daemon.port, { path: "/health" })).body) as Record<
    string,
    unknown
  >;
  assert.deepEqual(health["instances"], {});
  assert.deepEqual(Object.keys(health), [
    "status",
    "version",
    "uptimeSeconds",
    "users",
    "sessions",
    "instances",
    "servers",
  ]);
});

test("the public prefix is in the endpoint and may be there or stripped in requests", async (t) => {
  const daemon = await startDaemon(t, {
    config: { ...config, publicUrl: "http://mcp.example.com/team" },
  });
  const { key } = await daemon.addUser("alice");
  for (const path of ["/team/u/alice/sse", "/u/alice/sse/"]) {
    const stream = await EventStream.open(daemon.port, { path, headers: bearer(key.secret) });
    t.after(() => stream.close());
    const endpoint = await until(() => stream.endpoint, "the endpoint has come");
    assert.match(endpoint, /^\/team\/u\/alice\/messages\?session_id=/);
    const answer = await ask(daemon.port, {
      method: "POST",
      path: endpoint,
      headers: [...bearer(key.secret), ...json],
      body: initialize(),
    });
    assert.equal(answer.status, 202);
  }
});

test("a page of a configured origin may read answers, others get no CORS header", async (t) => {
  const daemon = await startDaemon(t, {
    config: { ...config, allowedOrigins: ["https://panel.example"] },
  });
  const preflight = (origin: string) =>
    ask(daemon.port, {
      method: "OPTIONS",
      path: "/u/alice/mcp",
      headers: [
        "origin",
        origin,
        "access-control-request-method",
        "POST",
        "access-control-request-headers",
        "authorization, mcp-session-id, x-evil",
      ],
    });
  const allowed = await preflight("https://panel.example");
  assert.equal(allowed.headers["access-control-allow-origin"], "https://panel.example");
  assert.equal(allowed.headers["access-control-allow-headers"], "authorization, mcp-session-id");
  assert.equal(
    (await preflight("http://localhost:5173")).headers["access-control-allow-origin"],
    undefined,
  );
  assert.equal((await preflight("https://evil.example")).status, 403);
});

test("an answer without an id, or with null for one, is taken and reaches nobody, on both fronts, relayed and bridged", async (t) => {
  // A recorder answers on its latest stream, so each way has one of its own.
  const remotes = await Promise.all(Array.from({ length: 4 }, async () => await record(t)));
  const origins = remotes.map(({ origin }) => origin);
  const rig = await startForAlice(t, {
    one: { url: `${origins[0]}/mcp` },
    two: { url: `${origins[1]}/sse` },
    three: { url: `${origins[2]}/mcp` },
    four: { url: `${origins[3]}/sse` },
  });
  const doors: [string, string[]][] = [
    ["/u/alice/one/mcp", await rig.http("one")],
    ["/u/alice/two/mcp", await rig.http("two")],
    [(await rig.sse("three")).endpoint, []],
    [(await rig.sse("four")).endpoint, []],
  ];
  const nobodys = [
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"?"}}',
    '{"jsonrpc":"2.0","result":{}}',
    '[{"jsonrpc":"2.0","id":null,"result":{}},{"jsonrpc":"2.0","error":{"code":1,"message":""}}]',
  ];
  for (const [path, session] of doors) {
    for (const body of nobodys) {
      const { status, headers } = await rig.post(path, body, session);
      assert.deepEqual([status, headers["content-type"]], [202, "text/plain"], path);
    }
    assert.ok((await rig.post(path, call(path, "echo"), session)).status < 300);
  }
  const bodies = () =>
    remotes.flatMap(({ requests }) => requests.map(({ body }) => body.toString()));
  await until(
    () => doors.every(([path]) => bodies().includes(call(path, "echo"))),
    "what was sent last has arrived",
  );
  for (const body of bodies()) assert.ok(!nobodys.some((text) => text.includes(body) && body));
  const unknown = await rig.post("/u/alice/one/mcp", nobodys[0]!, ["mcp-session-id", "x"]);
  assert.equal(unknown.status, 404);
});
