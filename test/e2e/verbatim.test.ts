import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { call, initialize, json, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import type { Recorder, Reply } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

/** JSON-RPC as nobody would write it who parses and writes it again. */
const MESSAGES: Record<string, string> = {
  "numbers beyond 2^53":
    '{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"tools/call","params":{"a":9007199254740993,"b":1e400,"c":-0,"d":1.0,"e":0.1e-7}}',
  "line separators, as bytes and as escapes":
    '{"jsonrpc":"2.0","id":"\u2028","method":"x","params":{"a":"\u2028\u2029\\u2028\\u0000 \u{1f642}\\ud83d"}}',
  "space where it may stand":
    ' \r\n{ "jsonrpc" :\t"2.0",\n"id" : 1 , "method":"x" ,\r\n"params":{ }} \n\n',
  "names twice, and names of the envelope further in":
    '{"jsonrpc":"2.0","id":11,"method":"x","params":{"id":2,"id":3,"method":"y","a":{"id":[{"id":4}]}}}',
  "names in escapes": '{"jsonrpc":"2.0","\\u0069d":"\\u00e9\\/","meth\\u006fd":"x"}',
  "a notification":
    '{"jsonrpc":"2.0","method":"notifications/x","params":{"n":18446744073709551615}}',
  "an answer": '{"jsonrpc":"2.0","id":18446744073709551615,"result":{"n":1.10}}',
  "a batch":
    '[ {"jsonrpc":"2.0","id":18446744073709551615,"method":"x"},{"jsonrpc":"2.0","method":"y"} ,{"jsonrpc":"2.0","id":"b","method":"z"}]',
  "a batch of one": '[{"jsonrpc":"2.0","id":12,"method":"x"}]',
  "half a megabyte": `{"jsonrpc":"2.0","id":13,"method":"x","params":{"a":"${"\u2028x".repeat(125_000)}"}}`,
};

interface Raw {
  status: number;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

/** A POST and the bytes of its answer. */
async function post(
  { daemon, auth }: Alice,
  path: string,
  body: string,
  headers: string[] = [],
): Promise<Raw> {
  const bytes = Buffer.from(body);
  const req = request({
    port: daemon.port,
    method: "POST",
    path,
    agent: false,
    headers: [
      "host",
      "localhost",
      "content-length",
      String(bytes.length),
      ...auth,
      ...json,
      ...headers,
    ],
  });
  req.end(bytes);
  const [res] = (await once(req, "response")) as [IncomingMessage];
  return { status: res.statusCode!, headers: res.headers, body: await buffer(res) };
}

async function startRemote(
  t: TestContext,
  reply?: Reply,
): Promise<{ rig: Alice; remote: Recorder }> {
  const remote = await record(t, reply);
  const rig = await startForAlice(t, {
    one: { url: `${remote.origin}/sse` },
    two: { url: `${remote.origin}/mcp` },
  });
  return { rig, remote };
}

test("what a client posts reaches the server byte for byte, over both fronts", async (t) => {
  let isGreeting = true;
  const { rig, remote } = await startRemote(t, ({ method }, res) =>
    method === "POST" && !isGreeting ? void res.writeHead(202).end() : false,
  );
  const { endpoint } = await rig.sse("one");
  isGreeting = false;
  for (const path of [endpoint, "/u/alice/two/mcp"]) {
    for (const [what, message] of Object.entries(MESSAGES)) {
      assert.equal((await post(rig, path, message)).status, 202, what);
      assert.ok(remote.requests.at(-1)!.body.equals(Buffer.from(message)), what);
    }
  }
});

test("what a server answers reaches the client byte for byte, in one piece and as events", async (t) => {
  let next = "";
  let type = "application/json";
  const { rig, remote } = await startRemote(t, ({ method, path }, res) => {
    if (method !== "POST" || path !== "/mcp") return false;
    return void res.writeHead(200, { "content-type": type }).end(next);
  });
  const { stream, endpoint } = await rig.sse("one");
  for (const [what, message] of Object.entries(MESSAGES)) {
    next = message;
    type = "application/json";
    const whole = await post(rig, "/u/alice/two/mcp", rpc(1, "x"));
    assert.ok(whole.body.equals(Buffer.from(message)), what);

    const data = message.replaceAll(/\r\n|\n/g, (end) => `${end}data:`);
    const event = `: comment\r\n\r\nid: 1\nretry: 1000\nevent: message\ndata:${data}\n\nunknown: x\r\r`;
    next = event;
    type = "text/event-stream; charset=utf-8";
    const streamed = await post(rig, "/u/alice/two/mcp", rpc(1, "x"));
    assert.equal(streamed.body.toString(), `:\n\n${event}`, what);

    const before = stream.text.length;
    const [upstream] = remote.streams;
    upstream!.write(event);
    await until(() => stream.text.slice(before).endsWith("unknown: x\r\r"), "the event has come");
    const got = stream.text.slice(before);
    const [own] = /^id: [\w-]+\.\d+\n/m.exec(got) ?? [""];
    assert.ok(got.replace(own, "") === event.replace("id: 1\n", ""), `${what}, but for the id`);
  }
  assert.equal((await post(rig, endpoint, rpc(2, "x"))).status, 202);
});

test("a server's refusals reach the client as they are, without what speaks for the server's own origin", async (t) => {
  const told: [number, string, Record<string, string>][] = [
    [200, "plain text", { "content-type": "text/plain" }],
    [202, "", {}],
    [400, '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}', {}],
    [403, '{"no":1}', {}],
    [404, '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}', {}],
    [405, "", { allow: "GET" }],
    [429, "later", { "retry-after": "7", "content-type": "text/plain" }],
    [500, '{"id":12345678901234567890}', { "mcp-protocol-version": "2025-11-25" }],
    [503, "", { "mcp-param-x": "y" }],
  ];
  const hidden = {
    "set-cookie": "session=1",
    "www-authenticate": "Bearer realm=x",
    "access-control-allow-origin": "*",
    location: "http://elsewhere.example/",
    server: "uvicorn",
    "x-powered-by": "x",
    "alt-svc": "h3",
    "mcp-session-id": "hidden",
  };
  let next = told[0]!;
  let isGreeting = true;
  const { rig } = await startRemote(t, ({ method }, res) => {
    if (method !== "POST" || isGreeting) return false;
    const [status, body, headers] = next;
    res.writeHead(status, { "content-type": "application/json", ...hidden, ...headers }).end(body);
    return undefined;
  });
  const { endpoint } = await rig.sse("one");
  isGreeting = false;
  for (const path of [endpoint, "/u/alice/two/mcp"]) {
    for (const [id, tells] of told.entries()) {
      next = tells;
      const [status, body, headers] = next;
      // They say that the server has forgotten the session, which is begun anew.
      if (path === endpoint && (status === 400 || status === 404)) continue;
      const answer = await post(rig, path, rpc(id, "x"));
      assert.equal(answer.status, status);
      assert.equal(answer.body.toString(), body);
      for (const [name, value] of Object.entries(headers))
        assert.equal(answer.headers[name], value);
      for (const name of Object.keys(hidden)) assert.equal(answer.headers[name], undefined, name);
    }
  }
});

/** Headers that a child may see; everything else is about the client, its key or its way here. */
const MAY_PASS =
  /^(?:host|accept|accept-encoding|accept-language|baggage|cache-control|content-length|content-type|last-event-id|traceparent|tracestate|user-agent|mcp-.*)$/;

test("a child sees what is said to it, and neither keys, cookies, origins nor addresses; Host is its own", async (t) => {
  const { rig, remote } = await startRemote(t);
  const secret = rig.auth[1]!.replace("Bearer ", "");
  const about = Object.entries({
    Cookie: "mcps=1",
    Origin: "http://localhost:5173",
    Referer: "http://localhost/",
    "X-Forwarded-For": "10.0.0.1",
    "x-forwarded-host": "evil.example",
    "X-Forwarded-Proto": "https",
    Forwarded: "for=10.0.0.1",
    Via: "1.1 evil.example",
    "X-Real-IP": "10.0.0.1",
    "X-User": "bob",
    "X-Api-Key": secret,
    "Proxy-Authorization": "Basic eA==",
    "Accept-Encoding": "gzip",
    "Mcp-Hop": "dropped",
    Connection: "keep-alive, mcp-hop",
  }).flat();
  const said: Record<string, string> = {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "=?base64?ZWNobw==?=",
    "mcp-param-region": "caf\u00e9",
    "last-event-id": "7",
    "accept-language": "de",
    "user-agent": "test/1",
    traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  };
  const headers = [...about, ...Object.entries(said).flat()];

  const opened = await rig.stream(`/u/alice/one/sse?token=${secret}&x=1`, headers);
  const endpoint = await until(() => opened.endpoint, "the endpoint has come");
  assert.ok(endpoint.includes(`token=${secret}`));
  await post(rig, endpoint, initialize(), headers);
  const hello = await post(rig, `/u/alice/two/mcp?token=${secret}`, initialize(), headers);
  const session = ["mcp-session-id", String(hello.headers["mcp-session-id"])];
  await post(rig, "/u/alice/two/mcp", rpc(1, "x"), [...headers, ...session]);
  await rig.stream("/u/alice/two/mcp", [...headers, ...session]);
  await ask(rig.daemon.port, {
    method: "DELETE",
    path: "/u/alice/two/mcp",
    headers: [...rig.auth, ...headers, ...session],
  });

  assert.deepEqual(
    remote.requests.map(({ method, path }) => [method, path]),
    [
      ["GET", "/sse"],
      ["POST", "/messages/?sid=session-of-the-remote"],
      ["POST", "/mcp"],
      ["POST", "/mcp"],
      ["GET", "/mcp"],
      ["DELETE", "/mcp"],
    ],
  );
  for (const { method, path, names, headers: seen, body } of remote.requests) {
    const where = `${method} ${path}`;
    assert.equal(seen.host, remote.host, where);
    assert.equal(seen["accept-encoding"], "identity", where);
    const more = names.filter((name) => !MAY_PASS.test(name));
    assert.deepEqual(more, [], where);
    assert.equal(new Set(names).size, names.length, `no name twice: ${names.join()}`);
    assert.equal(seen["mcp-hop"], undefined, where);
    assert.doesNotMatch(JSON.stringify(seen) + body.toString(), /mcps_|10\.0\.0\.1|evil|5173/);
    // The stream of an SSE session is the gateway's own: it may be opened again on another child.
    if (path === "/sse") continue;
    for (const [name, value] of Object.entries(said)) assert.equal(seen[name], value, name);
  }
  const ids = remote.requests.map(({ headers: seen }) => seen["mcp-session-id"]);
  const own = "session-of-the-remote";
  assert.deepEqual(ids, [undefined, undefined, undefined, own, own, own]);
});

test("messages longer than what is held back pass whole over both fronts", async (t) => {
  const rig = await startForAlice(t, {
    one: echoServer("sse"),
    two: echoServer("http"),
    three: echoServer("http", "--answer", "sse"),
  });
  const { stream, endpoint } = await rig.sse("one");
  const sessions = { two: await rig.http("two"), three: await rig.http("three") };
  for (const size of [64_000, 65_536, 70_000, 1_000_000, 3_000_000]) {
    const message = randomBytes(size).toString("base64").slice(0, size);
    const echo = call(`n${size}`, "echo", { message });
    const textOf = (answer: unknown) =>
      (answer as { result: { content: { text: string }[] } }).result.content[0]!.text;

    assert.equal((await post(rig, endpoint, echo)).status, 202);
    const answer = await until(
      () => stream.text.endsWith("\n\n") && stream.messages().find(({ id }) => id === `n${size}`),
      "the answer has come",
    );
    assert.ok(textOf(answer) === `Echo: ${message}`, `${size} over SSE`);
    for (const server of ["two", "three"] as const) {
      const { body } = await post(rig, `/u/alice/${server}/mcp`, echo, sessions[server]);
      const [data] = /\{.*\}/.exec(body.toString())!;
      assert.ok(textOf(JSON.parse(data)) === `Echo: ${message}`, `${size} over ${server}`);
    }
  }
});

test("the answers to a batch pass over both fronts, as one and one by one", async (t) => {
  const answers = (text: string) =>
    (JSON.parse(text) as { id: number }[]).map(
      ({ id }) => `{"jsonrpc":"2.0","id":${id},"result":{}}`,
    );
  let isTogether = true;
  const { rig, remote } = await startRemote(t, ({ method, path, body }, res) => {
    if (method !== "POST" || body[0] !== 0x5b) return false;
    const all = isTogether ? [`[${answers(body.toString()).join()}]`] : answers(body.toString());
    const events = all.map((text) => `data: ${text}\n\n`).join("");
    if (path === "/mcp") res.writeHead(200, { "content-type": "text/event-stream" }).end(events);
    else {
      res.writeHead(202).end();
      for (const stream of remote.streams) stream.write(events);
    }
    return undefined;
  });
  const { stream, endpoint } = await rig.sse("one");
  const batch = `[${[1, 2, 3].map((id) => rpc(id, "x")).join()}]`;
  for (isTogether of [true, false]) {
    const expected = isTogether ? "[{" : "{";
    const before = stream.events().length;
    assert.equal((await post(rig, endpoint, batch)).status, 202);
    const count = isTogether ? 1 : 3;
    await until(() => stream.events().length === before + count, "the answers have come");
    for (const { data } of stream.events().slice(before)) assert.ok(data.startsWith(expected));
    const { body } = await post(rig, "/u/alice/two/mcp", batch);
    assert.equal(body.toString().match(/"id":[123],"result"/g)?.length, 3);
    assert.ok((await rig.row("one")).inFlight === 0 && (await rig.row("two")).inFlight === 0);
  }
});
