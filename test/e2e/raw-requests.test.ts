import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, initialize, json } from "../helpers/fixtures.ts";
import { ask, missingForBrowsers } from "../helpers/raw-http.ts";
import { REMOTE_ENDPOINT, record } from "../helpers/recorder.ts";
import type { Recorder } from "../helpers/recorder.ts";
import { missingFromAnswers, say } from "../helpers/raw-bytes.ts";
import { until } from "../helpers/until.ts";
import { RAW_CASES } from "./raw-cases.ts";
import type { Door, RawCase } from "./raw-cases.ts";

/** The only headers that a server sees: what is on the allow-list, and what frames the message. */
const MAY_ARRIVE =
  /^(?:host|connection|content-length|content-type|accept|accept-encoding|user-agent|baggage|mcp-[a-z-]+)$/i;

interface Way {
  name: string;
  door: Door;
  server: Recorder;
  /** Where messages arrive at the server. */
  path: string;
}

const idOf = (way: Way, raw: RawCase, n: number): string => `${way.name}: ${raw.name} ${n}`;

test("whatever bytes come in, over every route the server sees the authorised messages, byte for byte, and nothing else", async (t) => {
  const servers = await Promise.all(Array.from({ length: 4 }, () => record(t)));
  const [one, two, three, four] = servers as [Recorder, Recorder, Recorder, Recorder];
  const rig = await startForAlice(
    t,
    {
      one: { url: `${one.origin}/mcp` },
      two: { url: `${two.origin}/sse` },
      three: { url: `${three.origin}/mcp` },
      four: { url: `${four.origin}/sse` },
    },
    { limits: { bodyBytes: "64K" } },
  );
  const { port } = rig.daemon;
  const lines = (headers: string[]) =>
    headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
  const head = lines([...rig.auth, ...json]);
  const bridged = await rig.http("four");
  const ways: Way[] = [
    {
      name: "http relay",
      server: one,
      path: "/mcp",
      door: { path: "/u/alice/one/mcp", head, ok: 200 },
    },
    {
      name: "sse relay",
      server: two,
      path: REMOTE_ENDPOINT,
      door: { path: (await rig.sse("two")).endpoint, head, ok: 202 },
    },
    {
      name: "sse front over http",
      server: three,
      path: "/mcp",
      door: { path: (await rig.sse("three")).endpoint, head, ok: 202 },
    },
    {
      name: "http front over sse",
      server: four,
      path: REMOTE_ENDPOINT,
      door: { path: "/u/alice/four/mcp", head: head + lines(bridged), ok: 200 },
    },
  ];

  let sent = 0;
  const failures: string[] = [];
  const play = async (way: Way, raw: RawCase): Promise<void> => {
    const { door, server } = way;
    const body = (n: number) => call(idOf(way, raw, n), "echo", { message: "\\u00e4/<&>" });
    const before = server.requests.length;
    const heard = await say(port, raw.bytes(door, body), raw.answers.length, raw.leaves);
    const where = `${way.name}: ${raw.name}: ${heard.text.slice(0, 400)}`;
    assert.deepEqual(
      heard.statuses,
      raw.answers.map((a) => (a === "ok" ? door.ok : a)),
      where,
    );
    const refusals = heard.statuses.filter((status) => status >= 400).length;
    assert.deepEqual(missingFromAnswers(heard.text), [], where);
    // HEAD has no body, so no id.
    const shown = raw.name === "the method HEAD" ? 0 : refusals;
    assert.equal(heard.text.match(/"requestId":"[\w-]+"/g)?.length ?? 0, shown, where);

    // What is to arrive has arrived, and what was sent after it too: nothing else is on its way.
    const last = call(`${way.name}: after ${raw.name}`, "echo");
    const answer = await rig.post(
      door.path,
      last,
      way.name === "http front over sse" ? bridged : [],
    );
    assert.equal(answer.status, door.ok, where);
    const expected = [...(raw.arrives ?? []).map(body), last].toSorted();
    const arrived = () => server.requests.slice(before).filter(({ method }) => method === "POST");
    await until(() => arrived().length >= expected.length, `all is there: ${where}`);
    assert.deepEqual(
      arrived()
        .map((request) => request.body.toString())
        .toSorted(),
      expected,
      where,
    );
    for (const request of server.requests.slice(before)) {
      assert.deepEqual([request.method, request.path], ["POST", way.path], where);
      assert.equal(request.headers.host, server.host, where);
      for (const name of request.names) assert.match(name, MAY_ARRIVE, where);
      if (raw.not !== undefined)
        assert.doesNotMatch(JSON.stringify(request.headers), raw.not, where);
    }
    sent += 1;
  };
  assert.equal((await rig.post("/u/alice/one/mcp", initialize())).status, 200);
  await Promise.all(
    ways.map(async (way) => {
      for (const raw of RAW_CASES)
        await play(way, raw).catch((error: Error) => failures.push(error.message));
    }),
  );
  assert.deepEqual(failures, []);
  t.diagnostic(`${RAW_CASES.length} cases over ${ways.length} routes: ${sent} exchanges`);
});

test("a request within the body of one that has none is no request, on every other route", async (t) => {
  const [one, two] = [await record(t), await record(t)];
  const rig = await startForAlice(t, {
    one: { url: `${one.origin}/mcp` },
    two: { url: `${two.origin}/sse` },
  });
  const { port } = rig.daemon;
  const session = await rig.http("one");
  const sse = await rig.sse("two");
  const lines = (headers: string[]) =>
    headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join("");
  const head = `host: localhost\r\n${lines([...rig.auth, ...json, ...session])}`;
  const hidden = call("hidden", "echo");
  const inner = (path: string) =>
    `POST ${path} HTTP/1.1\r\n${head}content-length: ${hidden.length}\r\n\r\n${hidden}`;
  const bodies = [inner("/u/alice/one/mcp"), inner(sse.endpoint)].flatMap((text) => [
    `content-length: ${text.length}\r\n\r\n${text}`,
    `transfer-encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`,
  ]);
  for (const [method, path, status] of [
    ["GET", "/u/alice/two/sse", 200],
    ["GET", "/u/alice/one/sse", 200],
    ["GET", "/u/alice/one/mcp", 200],
    ["DELETE", "/u/alice/two/sse", 405],
    ["HEAD", "/u/alice/one/mcp", 405],
    ["POST", "/u/alice/two/sse", 405],
    ["OPTIONS", "/u/alice/one/mcp", 204],
    ["GET", "/health", 200],
    ["POST", "/health", 404],
    ["GET", "/.well-known/oauth-protected-resource", 404],
    ["GET", "/nothing", 404],
    ["GET", "/u/alice/nowhere/sse", 404],
    ["GET", "/u/bob/one/sse", 403],
  ] as const) {
    for (const body of bodies) {
      const heard = await say(port, `${method} ${path} HTTP/1.1\r\n${head}${body}`, 1);
      assert.deepEqual(heard.statuses, [status], `${method} ${path}: ${heard.text}`);
    }
  }
  const last = call("last", "echo");
  assert.equal((await rig.post("/u/alice/one/mcp", last, session)).status, 200);
  assert.equal((await rig.post(sse.endpoint, last)).status, 202);
  const bodiesOf = (server: Recorder) => server.requests.map((request) => request.body.toString());
  await until(() => bodiesOf(two).includes(last), "the last message has arrived");
  for (const server of [one, two]) {
    const posted = bodiesOf(server).filter((body) => body !== "");
    assert.deepEqual(posted, [initialize("hello"), last]);
  }
});

test("every method on every route has a JSON answer with an id, and starts nothing", async (t) => {
  const rig = await startForAlice(t, { one: { url: "http://127.0.0.1:9/mcp" } });
  const { port } = rig.daemon;
  const METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "QUERY",
    "LINK",
    "PURGE",
  ];
  /** The methods that do something there; the others are 405 on a user's path and 404 beside it. */
  const ROUTES: readonly [string, readonly string[]][] = [
    ["/u/alice/sse", ["GET"]],
    ["/u/alice/one/sse/", ["GET"]],
    ["/u/alice/messages?session_id=x", ["POST"]],
    ["/u/alice/mcp", ["GET", "POST", "DELETE"]],
    ["/u/alice/one/mcp/", ["GET", "POST", "DELETE"]],
    ["/health", ["GET", "HEAD"]],
    ["/register", []],
    ["/.well-known/openid-configuration", []],
    ["/", []],
  ];
  for (const [path, working] of ROUTES) {
    for (const method of METHODS.filter((name) => !working.includes(name))) {
      for (const key of [rig.auth, []]) {
        const isPersonal = path.startsWith("/u/");
        const isOpen = /register|well-known/.test(path);
        const expected =
          method === "OPTIONS" ? 204 : key.length === 0 && !isOpen ? 401 : isPersonal ? 405 : 404;
        const where = `${method} ${path} ${key.length}`;
        const answer = await ask(port, { method, path, headers: key });
        assert.deepEqual(missingForBrowsers(answer), [], where);
        assert.equal(answer.status, expected, where);
        if (method === "OPTIONS" || method === "HEAD") {
          assert.equal(answer.body, "", where);
          continue;
        }
        assert.equal(answer.headers["content-type"], "application/json", where);
        const { error } = JSON.parse(answer.body) as { error: { code: number; requestId: string } };
        assert.equal(error.code, expected, where);
        assert.ok(error.requestId, where);
        if (expected === 405)
          assert.equal(
            answer.headers.allow,
            working.length === 1 ? working[0] : "POST, GET, DELETE",
          );
      }
    }
  }
  assert.equal(await rig.row("one"), undefined);
});
