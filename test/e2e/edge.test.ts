import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, json, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const SKIPS_AHEAD = new URL("../helpers/skips-ahead.ts", import.meta.url).href;
const from = (address: string) => ["x-forwarded-for", address];

test("who keeps failing is told to wait with 429, and a valid key passes from the same address", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      servers: { one: echoServer("http") },
      defaultServer: "one",
      trustProxy: ["127.0.0.1"],
      admin: { host: "127.0.0.1", port: 0 },
    },
  });
  const { port } = daemon;
  const { key } = await daemon.addUser("alice");
  const wrong = bearer(`mcps_${"x".repeat(36)}`);
  const get = (path: string, ...headers: string[]) => ask(port, { path, headers });
  const guess = (address: string, secret = wrong) =>
    get("/u/alice/mcp", ...secret, ...from(address));

  for (let i = 0; i < 10; i++) assert.equal((await guess("203.0.113.9")).status, 401);
  // Feeling one's way without a key is no failure, before and after.
  assert.equal((await get("/u/alice/mcp", ...from("203.0.113.9"))).status, 401);
  const refusals = [
    await guess("203.0.113.9"),
    await guess("203.0.113.9", bearer("malformed")),
    await get(`/u/alice/sse?token=${key.secret}x`, ...from("203.0.113.9")),
    await get("/u/nobody/sse", ...wrong, ...from("203.0.113.9")),
    await get("/anywhere", ...wrong, ...from("203.0.113.9, 127.0.0.1")),
  ];
  for (const { status, headers, body } of refusals) {
    assert.equal(status, 429);
    assert.match(String(headers["retry-after"]), /^[1-9]\d?$/);
    const { error } = JSON.parse(body) as { error: Record<string, unknown> };
    assert.equal(error["type"], "TOO_MANY_FAILURES");
    assert.ok(error["requestId"]);
  }
  const post = await ask(port, {
    method: "POST",
    path: "/u/alice/mcp",
    headers: [...wrong, ...json, ...from("203.0.113.9")],
    body: rpc(1, "ping"),
  });
  assert.equal(post.status, 429);
  assert.match(post.body, /^\{"jsonrpc":"2.0","id":null,"error":\{"code":429,/);

  const own = { path: "/u/alice/mcp", headers: [...bearer(key.secret), ...from("203.0.113.9")] };
  assert.equal((await ask(port, own)).status, 405, "the key works as ever");
  assert.equal((await guess("203.0.113.10")).status, 401, "another address is another's");
  for (let i = 0; i < 20; i++)
    assert.equal((await get("/u/alice/mcp", ...wrong)).status, 401, "this machine is not counted");
  // Whoever is no trusted proxy says nothing about addresses; the key of another user is no failure.
  const bob = await daemon.addUser("bob");
  for (let i = 0; i < 12; i++)
    assert.equal((await guess("203.0.113.11", bearer(bob.key.secret))).status, 403);

  const admin = daemon.admin!;
  const token = readFileSync(join(daemon.dataDir, "admin.token"), "utf8").trim();
  const status = (secret: string) =>
    ask(admin.port, { path: "/api/status", headers: [...bearer(secret), ...from("203.0.113.9")] });
  for (let i = 0; i < 10; i++) assert.equal((await status("wrong")).status, 401);
  assert.equal((await status("wrong")).status, 429);
  assert.equal((await status(token)).status, 200);
});

/** A client of its own that says this much and then does as it is told. */
function dial(
  t: TestContext,
  port: number,
  words: string,
  host = "127.0.0.1",
): Socket & { text: string; isOver: boolean } {
  const socket = Object.assign(connect(port, host), { text: "", isOver: false });
  t.after(() => socket.destroy());
  socket.setEncoding("latin1").on("data", (text: string) => (socket.text += text));
  socket.on("error", () => undefined).on("close", () => (socket.isOver = true));
  socket.write(words);
  return socket;
}

test("slow clients are ended, each for its own reason, while others are served and silent streams stay", async (t) => {
  const rig = await startForAlice(t, { one: echoServer("http"), two: echoServer("sse") });
  const { port } = rig.daemon;
  const head = (path: string, more: string) =>
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${rig.auth.join(": ")}\r\ncontent-type: application/json\r\n${more}\r\n`;
  const silent = await rig.sse("two");
  const session = await rig.http("one");
  const events = await rig.stream("/u/alice/one/mcp", session);

  const many = (make: () => Socket & { text: string; isOver: boolean }) =>
    Array.from({ length: 10 }, make);
  const mute = many(() => dial(t, port, ""));
  const slowHeaders = many(() => dial(t, port, "GET /health HTTP/1.1\r\nhost: localhost\r\nx"));
  const still = many(() =>
    dial(t, port, `${head("/u/alice/one/mcp", "content-length: 100\r\n")}{"`),
  );
  const stillSse = many(() =>
    dial(t, port, `${head(silent.endpoint, "content-length: 100\r\n")}{"`),
  );
  const drips = many(() =>
    dial(t, port, head("/u/alice/one/mcp", "transfer-encoding: chunked\r\n")),
  );
  const dripping = setInterval(() => {
    for (const socket of drips) if (!socket.isOver) socket.write("1\r\n \r\n");
    for (const socket of slowHeaders) if (!socket.isOver) socket.write("x");
  }, 1_000);
  t.after(() => clearInterval(dripping));
  const blob = call(1, "blob", { bytes: 12_000_000, size: 12_000_000 });
  const deaf = many(() => {
    const socket = dial(
      t,
      port,
      `${head("/u/alice/one/mcp", `content-length: ${blob.length}\r\n`)}${blob}`,
    );
    socket.pause();
    return socket;
  });
  await until(() => deaf.every((socket) => socket.bytesWritten > 0), "all are there");

  let served = 0;
  const isServed = async () => {
    const answer = await rig.post("/u/alice/one/mcp", call(1, "echo", { message: "x" }), session);
    assert.equal(answer.status, 200);
    served += 1;
    // The others must find the daemon at work, not the machine.
    await new Promise((resolve) => setTimeout(resolve, 100));
  };
  const ended = async (what: string, sockets: (Socket & { isOver: boolean })[]) =>
    await until(
      async () => {
        await isServed();
        return sockets.every(({ isOver }) => isOver);
      },
      `${what} are ended`,
      90_000,
    );
  await ended("those that say nothing", mute);
  await ended("slow headers", slowHeaders);
  await ended("bodies that stand still", [...still, ...stillSse]);
  await ended("bodies that drip", drips);
  for (const { text } of [...mute, ...slowHeaders]) {
    assert.match(text, /^HTTP\/1\.1 408 Request Timeout\r\n/);
    assert.match(text, /"type":"REQUEST_INVALID".*"requestId":"/);
  }
  for (const { text } of [...still, ...stillSse, ...drips]) {
    assert.match(text, /^HTTP\/1\.1 408 Request Timeout\r\n/);
    assert.match(text, /\r\nconnection: close\r\n/i);
    assert.match(text, /"REQUEST_TIMEOUT"/);
  }
  t.diagnostic(`${served} requests were served meanwhile`);
  assert.equal(events.isEnded, false);
  assert.equal(silent.stream.isEnded, false);
  assert.equal((await rig.post(silent.endpoint, rpc(9, "ping"))).status, 202);
  await until(() => silent.stream.messages().some(({ id }) => id === 9), "the session goes on");
});

test("of an address that only holds places the oldest connection gives way, one with a key stays", async (t) => {
  // Connections of the machine to itself by its outer address come from that address.
  const outer = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  if (outer === undefined) return t.skip("this machine has no address but loopback");
  const rig = await startForAlice(
    t,
    { one: echoServer("sse") },
    { listen: { host: "0.0.0.0", port: 0 } },
    { env: { NODE_OPTIONS: `--import ${SKIPS_AHEAD}` } },
  );
  const { port } = rig.daemon;
  const get = (secret: string[]) =>
    dial(
      t,
      port,
      `GET /u/alice/sse HTTP/1.1\r\nhost: localhost\r\n${secret.join(": ")}\r\n\r\n`,
      outer,
    );
  const known = get(rig.auth);
  await until(() => known.text.includes("endpoint"), "the stream is open");
  const strangers = Array.from({ length: 32 }, () => dial(t, port, "", outer));
  await until(() => strangers.every(({ readyState }) => readyState === "open"), "all are there");
  const local = dial(t, port, "");
  // Until some time has passed any of them may be about to show a key.
  await until(() => {
    process.kill(rig.daemon.pid, "SIGUSR2");
    dial(t, port, "", outer);
    return strangers.some(({ isOver }) => isOver);
  }, "the oldest has given way");
  const ended = strangers.filter(({ isOver }) => isOver);
  assert.ok(ended.length < 32 && ended.every(({ text }) => text === ""), "they were not timed out");
  const late = get(rig.auth);
  await until(() => late.text.includes("endpoint"), "a key is heard as ever");
  assert.deepEqual([known.isOver, late.isOver, local.isOver], [false, false, false]);
});
