import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { orderControl } from "../helpers/control.ts";
import { boxed, noSandbox } from "../helpers/isolation.ts";
import { HOSTILE_PATHS } from "../helpers/hostile-paths.ts";
import { ask } from "../helpers/raw-http.ts";
import type { RawRequest } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const SERVER = fileURLToPath(new URL("../fixtures/servers/own-routes.ts", import.meta.url));
const AT = "/u/alice/notes/-";

const notes = (more: object = {}) => ({
  type: "http",
  command: process.execPath,
  args: [SERVER, "--port", "${port}"],
  routes: ["/files"],
  ...more,
});

interface State {
  seen: string[];
  streamed: number;
  isStreaming: boolean;
  sockets: number;
}

interface Echoed {
  method: string;
  url: string;
  headers: string[];
  body: string;
}

function rigOf({ daemon, auth }: Alice) {
  const own = (path: string, { headers = [], ...more }: Partial<RawRequest> = {}) =>
    ask(daemon.port, { path: `${AT}${path}`, headers: [...auth, ...headers], ...more });
  const echo = async (path: string, more: Partial<RawRequest> = {}) => {
    const { status, body } = await own(path, more);
    assert.equal(status, 200, body);
    return JSON.parse(body) as Echoed;
  };
  const state = async () => JSON.parse((await own("/files/state")).body) as State;
  const typeOf = ({ body }: { body: string }) =>
    (JSON.parse(body) as { error: { type: string } }).error.type;
  return { own, echo, state, typeOf };
}

/** A connection on which this was said, and all that came back so far. */
async function say(port: number, text: string): Promise<{ socket: Socket; heard: () => string }> {
  const socket = connect(port, "127.0.0.1");
  let heard = "";
  socket.setEncoding("latin1").on("data", (more: string) => (heard += more));
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(text);
  return { socket, heard: () => heard };
}

const handshake = (path: string, auth: readonly string[], more = "") =>
  `GET ${path} HTTP/1.1\r\nhost: localhost\r\n${auth[0]}: ${auth[1]}\r\nconnection: Upgrade\r\n` +
  `upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${more}\r\n`;

test("a server's own routes are reached by its user, below the prefixes of the config, and no secret goes there", async (t) => {
  const alice = await startForAlice(t, { notes: notes(), closed: notes({ routes: [] }) });
  const { daemon, auth } = alice;
  const { own, echo, state, typeOf } = rigOf(alice);
  const key = auth[1]!.replace("Bearer ", "");

  await t.test("the request arrives as it was sent, without who sent it", async () => {
    const headers =
      `cookie:a=1|origin:${daemon.origin}|referer:http://x/|x-forwarded-for:1|X_Forwarded_Host:evil|forwarded:for=1|x-user-id:bob|x-real-ip:1|connection:x-dropped, close|x-dropped:1|x-hub-signature:s|content-type:text/x-own|mcp-session-id:s|proxy-authorization:p`
        .split("|")
        .flatMap((header) => header.split(/:(.*)/s).slice(0, 2));
    const path = `/files/a%20b?x=1&token=${key}&y=%2e`;
    const echoed = await echo(path, { method: "POST", headers, body: "hello" });
    const { port } = await alice.row("notes");
    assert.deepEqual(
      [echoed.method, echoed.url, echoed.body],
      ["POST", "/files/a%20b?x=1&y=%2e", "hello"],
    );
    assert.deepEqual(
      echoed.headers
        .map((text) => text.toLowerCase())
        .filter((_, at) => at % 2 === 0)
        .toSorted(),
      ["connection", "content-length", "content-type", "host", "x-hub-signature"],
    );
    assert.ok(echoed.headers.includes(`127.0.0.1:${port}`));
    assert.ok(!JSON.stringify(echoed).includes(key));
    for (const method of ["GET", "PUT", "PATCH", "DELETE"])
      assert.equal((await echo("/files", { method })).method, method);
    const chunked = await echo("/files", {
      method: "DELETE",
      headers: ["transfer-encoding", "chunked"],
    });
    assert.equal(chunked.body, "");
    const inQuery = await ask(daemon.port, { path: `${AT}/files/x?token=${key}` });
    assert.equal((JSON.parse(inQuery.body) as Echoed).url, "/files/x");
    assert.deepEqual((await own("/files", { method: "HEAD" })).body, "");
  });

  await t.test(
    "the answer keeps its type, and says nothing for an origin that is all users'",
    async () => {
      const { status, headers, body } = await own("/files/page");
      assert.deepEqual([status, body], [200, "<script>1</script>"]);
      const { date: _date, ...rest } = headers;
      assert.deepEqual(rest, {
        "cache-control": "no-store",
        connection: "close",
        "content-disposition": 'attachment; filename="a.html"',
        "content-security-policy": "sandbox",
        "content-type": "text/html; charset=utf-8",
        etag: '"1"',
        "transfer-encoding": "chunked",
        "x-content-type-options": "nosniff",
        "x-own": "passes",
      });
    },
  );

  await t.test("a Location leads on below the same prefix, or nowhere", async () => {
    const to = async (where: string) => {
      const { status, headers } = await own(`/files/to?where=${encodeURIComponent(where)}`);
      return [status, headers.location];
    };
    assert.deepEqual(await to("next?a=1"), [302, `${AT}/files/next?a=1`]);
    for (const where of [
      "/secret",
      "//evil.example/files",
      "http://evil.example/",
      "/files/%2e%2e/x",
    ])
      assert.deepEqual(await to(where), [302, undefined], where);
  });

  await t.test("no other path gets to the server, in whatever form it is written", async () => {
    const before = (await state()).seen.length;
    for (const path of HOSTILE_PATHS) {
      const { heard, socket } = await say(
        daemon.port,
        `GET ${AT}${path} HTTP/1.1\r\nhost: localhost\r\n${auth[0]}: ${auth[1]}\r\nconnection: close\r\n\r\n`,
      );
      await once(socket, "close");
      assert.match(heard(), /^HTTP\/1\.1 40[04] /, path);
    }
    for (const path of ["/secret", "/filesx", "/", "/sse", "/mcp", "/FILES"]) {
      const answer = await own(path);
      assert.deepEqual([answer.status, typeOf(answer)], [404, "NOT_FOUND"], path);
    }
    assert.equal((await own("/files/x", { method: "TRACE" })).status, 405);
    const closed = await ask(daemon.port, { path: "/u/alice/closed/-/files", headers: auth });
    assert.deepEqual([closed.status, typeOf(closed)], [404, "NOT_FOUND"]);
    const none = await ask(daemon.port, { path: "/u/alice/none/-/files", headers: auth });
    assert.deepEqual([none.status, typeOf(none)], [404, "SERVER_NOT_FOUND"]);
    assert.equal((await state()).seen.length, before + 1);
    assert.equal(await alice.row("closed"), undefined, "and none is started for it");
  });

  await t.test("what is no good answer costs the request, and nothing else", async () => {
    for (const path of ["huge", "control", "nonsense", "status", "two"]) {
      const answer = await own(`/files/${path}`);
      assert.equal(answer.status, 502, path);
      assert.match(typeOf(answer), /^UPSTREAM_/, path);
    }
    for (const path of ["chunks", "short"]) {
      const { heard, socket } = await say(
        daemon.port,
        `GET ${AT}/files/${path} HTTP/1.1\r\nhost: localhost\r\n${auth[0]}: ${auth[1]}\r\n\r\n`,
      );
      await once(socket, "close");
      assert.match(heard(), /^HTTP\/1\.1 200 /);
      assert.doesNotMatch(heard(), /\r\n0\r\n\r\n$/, "it is seen not to be whole");
    }
    const limit = 4 * 1024 * 1024;
    const large = { method: "POST", body: Buffer.alloc(limit + 1) };
    assert.equal((await own("/files/x", large)).status, 413);
    const { heard, socket } = await say(
      daemon.port,
      `POST ${AT}/files/x HTTP/1.1\r\nhost: localhost\r\n${auth[0]}: ${auth[1]}\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
    for (let sent = 0; sent <= limit; sent += 65_536) socket.write(chunk);
    await until(() => heard().startsWith("HTTP/1.1 413 "), "the limit is told");
    socket.destroy();
    const whole = { method: "POST", body: Buffer.alloc(limit, "x") };
    const answer = await own("/files", whole);
    assert.equal(answer.status, 200, answer.body.slice(0, 200));
  });

  await t.test("a stream comes no faster than it is read, and ends with its reader", async () => {
    const { socket } = await say(
      daemon.port,
      `GET ${AT}/files/stream HTTP/1.1\r\nhost: localhost\r\n${auth[0]}: ${auth[1]}\r\n\r\n`,
    );
    await once(socket, "data");
    socket.pause();
    let last = -1;
    await until(async () => {
      const { streamed } = await state();
      const isStill = streamed === last;
      last = streamed;
      return isStill;
    }, "the server waits");
    assert.ok(last < 64 * 1024 * 1024);
    assert.equal((await alice.row("notes")).inFlight, 1, "it keeps the child");
    socket.destroy();
    await until(async () => !(await state()).isStreaming, "the server's side has ended");
    await until(async () => (await alice.row("notes")).inFlight === 0, "it is in use no more");
  });

  await t.test(
    "a WebSocket goes through, both ways, and its handshake is cleaned likewise",
    async () => {
      const path = `${AT}/files/ws`;
      const { socket, heard } = await say(
        daemon.port,
        handshake(path, auth, "cookie: a=1\r\norigin: http://localhost\r\nx-own: 1\r\n"),
      );
      await until(() => heard().includes("]"), "it is open");
      const [head = "", first = ""] = heard().split("\r\n\r\n");
      assert.match(head, /^HTTP\/1\.1 101 /);
      assert.doesNotMatch(head, /cookie/i);
      assert.match(head, /sec-websocket-accept: \S+/);
      assert.doesNotMatch(first, /cookie|origin|bearer/i);
      assert.match(first, /x-own/);
      socket.write("ping");
      await until(() => heard().endsWith("ping"), "it comes back");
      assert.equal((await state()).sockets, 1);
      socket.destroy();
      await until(async () => (await state()).sockets === 0, "the server's side has ended");

      for (const [at, status] of [
        [`${AT}/files/other`, 403],
        [`${AT}/secret`, 404],
        ["/u/alice/notes/mcp", 400],
        ["/u/bob/notes/-/files/ws", 403],
        ["/health", 200],
      ] as const) {
        const other = await say(daemon.port, handshake(at, auth));
        await once(other.socket, "close");
        assert.match(other.heard(), new RegExp(`^HTTP/1\\.1 ${status} `), at);
        assert.doesNotMatch(other.heard(), /set-cookie/i);
      }
      const nobody = await say(daemon.port, handshake(path, ["x", "y"]));
      await once(nobody.socket, "close");
      assert.match(nobody.heard(), /^HTTP\/1\.1 401 [^]*KEY_MISSING/);
      // Clients that offer HTTP/2 with each request go on with HTTP/1.1.
      const offer = [
        "connection",
        "Upgrade, HTTP2-Settings",
        "upgrade",
        "h2c",
        "http2-settings",
        "AA",
      ];
      assert.equal(
        (await echo("/files", { method: "POST", headers: offer, body: "whole" })).body,
        "whole",
      );
    },
  );

  /** A stream and a WebSocket; resolves, once both are open, with their ends. */
  const open = async (secret: string[], at = AT) => {
    const stream = await say(
      daemon.port,
      `GET ${at}/files/never HTTP/1.1\r\nhost: localhost\r\n${secret[0]}: ${secret[1]}\r\n\r\n`,
    );
    const tunnel = await say(daemon.port, handshake(`${at}/files/ws`, secret));
    await until(() => tunnel.heard().includes("]"), "the WebSocket is open");
    await until(() => stream.heard().startsWith("HTTP/1.1 200 "), "the stream has begun");
    return [stream.socket, tunnel.socket].map((socket) => once(socket, "close"));
  };

  await t.test("what is open ends with the grant of its server, whatever that is", async () => {
    const { port } = await alice.row("notes");
    const far = { url: `http://127.0.0.1:${port}/mcp`, routes: ["/files"] };
    const order = (method: string, path: string, body = {}) =>
      orderControl<{ id: string }>(daemon.socket, method, path, body);
    const grants = "/api/users/alice/grants?server=granted";
    for (const server of [notes(), far]) {
      const body = { name: "granted", ...server };
      const { id } = await order("POST", "/api/mcp/configs", body);
      await order("PUT", grants);
      const ends = await open(auth, "/u/alice/granted/-");
      const others = await open(auth);
      await order("DELETE", grants);
      await Promise.all(ends);
      const answer = await ask(daemon.port, { path: "/u/alice/granted/-/files", headers: auth });
      assert.deepEqual([answer.status, typeOf(answer)], [404, "SERVER_NOT_FOUND"]);
      const isOver = await Promise.race([...others, Promise.resolve(undefined)]);
      assert.equal(isOver, undefined, "those of another server go on");
      await order("DELETE", `/api/mcp/configs/${id}`);
    }
  });

  await t.test("what is open ends with the key, with the user and with the daemon", async () => {
    const another = (await daemon.cli(["key", "issue", "alice"])).json<{
      id: string;
      secret: string;
    }>();
    const byKey = await open(["authorization", `Bearer ${another.secret}`]);
    await daemon.cli(["key", "revoke", another.id]);
    await Promise.all(byKey);
    const byUser = await open(auth);
    await daemon.cli(["user", "disable", "alice"]);
    await Promise.all(byUser);
    await daemon.cli(["user", "enable", "alice"]);
    const byDaemon = await open(auth);
    assert.equal(await daemon.stop(), 0);
    await Promise.all(byDaemon);
    assert.ok(!daemon.log().includes(key));
  });
});

test("the route starts a child that sleeps, of either transport, and a remote is asked with its headers", async (t) => {
  const alice = await startForAlice(t, { notes: notes({ type: "sse" }), http: notes() });
  const { own } = rigOf(alice);
  assert.equal((await own("/files/x")).status, 200);
  const row = await alice.row("notes");
  const far = await startForAlice(t, {
    notes: {
      url: `http://127.0.0.1:${row.port}/mcp`,
      headers: { Authorization: "Bearer ${token}", "X-User": "${user}" },
      routes: ["/files"],
    },
  });
  const { echo } = rigOf(far);
  const { headers } = await echo("/files/x", { headers: ["x-user", "mallory"] });
  assert.ok(headers.includes("Bearer token-of-alice"), headers.join());
  assert.ok(headers.includes("alice") && !headers.includes("mallory"));
});

test(
  "a child in a sandbox, which has no port on this machine, has routes as well",
  { skip: noSandbox },
  async (t) => {
    const alice = await startForAlice(
      t,
      { notes: boxed("own-routes", { routes: ["/files"] }) },
      { isolation: "sandbox" },
    );
    const { echo } = rigOf(alice);
    assert.equal((await echo("/files/x", { method: "POST", body: "hello" })).body, "hello");
    const { socket, heard } = await say(alice.daemon.port, handshake(`${AT}/files/ws`, alice.auth));
    await until(() => heard().includes("]"), "it is open");
    socket.destroy();
  },
);
