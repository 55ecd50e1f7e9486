import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { request } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import type { Alice } from "../helpers/alice.ts";
import { echoServer } from "../helpers/echo.ts";
import { call, fixture, initialize, json, rpc } from "../helpers/fixtures.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

/** Established TCP connections to a port of this machine. */
const connectionsTo = (port: number) =>
  readFileSync("/proc/net/tcp", "utf8").match(
    new RegExp(`^ *\\d+: \\S+ \\w+:${port.toString(16).toUpperCase().padStart(4, "0")} 01 `, "gm"),
  )?.length ?? 0;
const openFiles = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
const rssMiB = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

test("a client that goes and does not come back takes its stream at the child along, over both fronts", async (t) => {
  const servers = { one: echoServer("sse"), two: echoServer("http") };
  const { sse, http, stream, stats } = await startForAlice(t, servers, { resumeWindow: "200ms" });
  const first = await sse("one");
  const second = await sse("one");
  assert.equal((await stats("one"))["openSse"], 2);
  first.stream.close();
  await until(async () => (await stats("one"))["openSse"] === 1, "the stream is closed");
  assert.equal(second.stream.isEnded, false);

  const session = await http("two");
  const events = await stream("/u/alice/two/mcp", [...session, "accept", "text/event-stream"]);
  await until(async () => (await stats("two"))["mcpStreams"] === 1, "the stream is open");
  events.close();
  await until(async () => (await stats("two"))["mcpStreams"] === 0, "the stream is closed");
  // One stream for a session is what many servers allow, so a second must find the first one gone.
  const again = await stream("/u/alice/two/mcp", [...session, "accept", "text/event-stream"]);
  assert.equal(again.status, 200);
});

test("a client that leaves a POST without a session ends the call at the server, before its answer and within it", async (t) => {
  const remote = await record(t, ({ body, method }, res) => {
    if (method !== "POST") return false;
    if (body.includes("silent")) return undefined;
    res.writeHead(200, { "content-type": "text/event-stream" });
    res.write('data: {"jsonrpc":"2.0","method":"started"}\n\n');
    return undefined;
  });
  const { daemon, auth, row } = await startForAlice(t, { one: { url: `${remote.origin}/mcp` } });
  for (const name of ["silent", "listen"]) {
    const before = remote.requests.length;
    const socket = connect(daemon.port, "127.0.0.1");
    t.after(() => socket.destroy());
    const body = call(1, name);
    socket.write(
      `POST /u/alice/one/mcp HTTP/1.1\r\nhost: localhost\r\n${auth.join(": ")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await until(() => remote.requests.length > before, "the call has arrived");
    if (name === "listen") await until(() => text.includes("started"), "its stream is open");
    assert.equal(await remote.connections(), 1);
    assert.equal((await row("one")).inFlight, 1);
    socket.destroy();
    await until(async () => (await remote.connections()) === 0, "the server knows");
    await until(async () => (await row("one")).inFlight === 0, "nothing is in flight");
  }
});

test("a client that leaves while its session is begun over a bridge leaves no session and no stream behind", async (t) => {
  const waiting: (() => void)[] = [];
  const remote = await record(t, ({ method }, res) => {
    if (method !== "GET") return false;
    waiting.push(() => res.write("event: endpoint\ndata: /messages/?sid=1\n\n"));
    res.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    return undefined;
  });
  const { daemon, auth, row } = await startForAlice(t, { one: { url: `${remote.origin}/sse` } });
  const body = initialize();
  const words = `POST /u/alice/one/mcp HTTP/1.1\r\nhost: localhost\r\n${auth.join(": ")}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const socket = connect(daemon.port, "127.0.0.1");
  socket.write(words);
  const announce = await until(() => waiting.shift(), "the stream at the server is open");
  socket.destroy();
  await until(
    async () => (await daemon.cli(["status", "alice"])).code === 0,
    "the daemon has had time to see the client go",
  );
  announce();
  await until(async () => (await remote.connections()) === 0, "its stream is closed");
  assert.equal((await row("one")).sessions, 0);
});

test("a child that is killed: calls under way fail over both fronts, and their sessions go on", async (t) => {
  const { daemon, auth, sse, http, stream, post, row, stats } = await startForAlice(t, {
    one: echoServer("sse"),
    two: echoServer("http"),
    three: fixture("http", "echo-sse"),
  });
  const sleep = call("late", "sleep", { ms: 60_000, message: "never" });

  const first = await sse("one");
  await post(first.endpoint, sleep);
  // What it has not read would go to the next child.
  await until(async () => (await stats("one"))["sleeping"] === 1, "the child has the call");
  process.kill((await row("one")).pid, "SIGKILL");
  const error = await until(
    () => first.stream.messages().find(({ id }) => id === "late"),
    "the call has failed",
  );
  assert.equal(error.error?.data?.type, "INSTANCE_EXITED");
  assert.match(error.error?.message ?? "", /killed by SIGKILL/);
  assert.equal((await row("one")).inFlight, 0);
  assert.equal((await post(first.endpoint, call(2, "echo"))).status, 202);
  await until(
    () => first.stream.messages().some(({ id, result }) => id === 2 && result !== undefined),
    "the next child has answered",
  );
  assert.equal(first.stream.isEnded, false);

  const session = await http("two");
  const waiting = await stream("/u/alice/two/mcp", session);
  const answer = post("/u/alice/two/mcp", sleep, session);
  await until(async () => (await stats("two"))["sleeping"] === 1, "the child has the call");
  process.kill((await row("two")).pid, "SIGKILL");
  const { status, body } = await answer;
  assert.equal(status, 502);
  assert.match(body, /^\{"jsonrpc":"2.0","id":"late","error":.*"INSTANCE_EXITED"/);
  assert.equal((await post("/u/alice/two/mcp", call(2, "echo"), session)).status, 200);
  assert.equal(waiting.isEnded, false);

  const other = await http("three");
  const events = await EventStream.open(daemon.port, {
    method: "POST",
    path: "/u/alice/three/mcp",
    headers: [...auth, ...json, ...other],
    body: rpc("late", "tools/call", {
      name: "progress",
      arguments: { steps: 1_000_000 },
      _meta: { progressToken: 1 },
    }),
  });
  t.after(() => events.close());
  await until(() => events.messages().length > 3, "the answer has begun");
  process.kill((await row("three")).pid, "SIGKILL");
  await until(() => events.isEnded, "the stream has ended");
  const { id, error: failure } = events.messages().at(-1)!;
  assert.deepEqual([id, failure?.data?.type], ["late", "INSTANCE_EXITED"]);
  assert.equal((await row("three")).inFlight, 0);
});

test("two hundred clients come and go: no stream is left at the child, no file in the daemon", async (t) => {
  const { daemon, sse, http, stream, stats, row, post } = await startForAlice(
    t,
    { one: echoServer("sse"), two: echoServer("http") },
    { limits: { streamsPerUser: 300 }, resumeWindow: "100ms" },
  );
  const visit = async (): Promise<() => void> => {
    const [{ stream: opened, endpoint }, session] = await Promise.all([sse("one"), http("two")]);
    const events = await stream("/u/alice/two/mcp", session);
    assert.equal((await post(endpoint, call(1, "echo", { message: "x" }))).status, 202);
    return () => {
      opened.close();
      events.close();
    };
  };
  const isQuiet = async () =>
    (await stats("one"))["openSse"] === 0 && (await stats("two"))["mcpStreams"] === 0;
  (await visit())();
  await until(isQuiet, "the first one is gone");
  const ports = [(await row("one")).port, (await row("two")).port];
  const isIdle = () => ports.every((port) => connectionsTo(port) === 0);
  await until(isIdle, "connections that are kept for a next message are closed");
  const baseline = openFiles(daemon.pid);

  for (let round = 0; round < 4; round++) {
    const visits = await Promise.all(Array.from({ length: 25 }, visit));
    assert.equal((await stats("one"))["openSse"], 25);
    assert.ok(openFiles(daemon.pid) >= baseline + 100);
    for (const leave of visits) leave();
    await until(isQuiet, "every stream is closed");
  }
  await until(isIdle, "no connection to a child is left");
  await until(() => openFiles(daemon.pid) === baseline, "no file is left open");
  assert.equal((await row("one")).sessions, 0);
});

/** The answer to a request whose body is not read until somebody asks for it. */
async function openUnread(
  t: TestContext,
  { daemon, auth }: Alice,
  { method = "GET", path, body }: { method?: string; path: string; body?: string },
): Promise<IncomingMessage> {
  const headers = [...auth, ...json, "host", "localhost"];
  if (body !== undefined) headers.push("content-length", String(body.length));
  const req = request({ port: daemon.port, method, path, headers, agent: false });
  t.after(() => req.destroy());
  req.end(body);
  const [res] = (await once(req, "response")) as [IncomingMessage];
  return res;
}

/** Reads until the endpoint event, and no further. */
async function readEndpoint(res: IncomingMessage): Promise<string> {
  let text = "";
  for (;;) {
    const chunk = res.read() as Buffer | null;
    if (chunk === null) await once(res, "readable");
    else text += chunk.toString();
    const endpoint = /^data: (\/u\/.*)$/m.exec(text)?.[1];
    if (endpoint !== undefined) return endpoint;
  }
}

interface Flood {
  /** Notifications so far; they come in order, each once and whole. */
  count: number;
  answer: { result: { count: number } } | undefined;
}

/** Reads a flood as it comes, without keeping it. */
function readFlood(res: IncomingMessage): Flood {
  const flood: Flood = { count: 0, answer: undefined };
  let rest = "";
  res.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: {")) continue;
      const message = JSON.parse(line.slice(6)) as {
        params?: { n: number; pad: string };
        result?: { count: number };
        error?: object;
      };
      // The fixture never answers "hello", so the end of the daemon does.
      if (message.error !== undefined) continue;
      if (message.result !== undefined) flood.answer = { result: message.result };
      else {
        assert.equal(message.params?.n, flood.count);
        assert.equal(message.params.pad.length, 4000);
        flood.count += 1;
      }
    }
  });
  return flood;
}

const FLOOD_MIB = 120;

for (const front of ["sse", "http"] as const) {
  test(`a client over ${front} that does not read stops its child, costs the daemon little, and gets everything later`, async (t) => {
    const rig = await startForAlice(t, {
      one: fixture(front, "floods-stream", "--mb", String(FLOOD_MIB)),
    });
    const { daemon, post, stats } = rig;
    let res: IncomingMessage;
    let rssBefore: number;
    if (front === "sse") {
      res = await openUnread(t, rig, { path: "/u/alice/sse" });
      const endpoint = await readEndpoint(res);
      assert.equal((await post(endpoint, initialize())).status, 202);
      rssBefore = rssMiB(daemon.pid);
      assert.equal((await post(endpoint, rpc("flood", "flood"))).status, 202);
    } else {
      assert.equal((await post("/u/alice/mcp", rpc(1, "hello"))).status, 200);
      rssBefore = rssMiB(daemon.pid);
      res = await openUnread(t, rig, {
        method: "POST",
        path: "/u/alice/mcp",
        body: rpc("flood", "flood"),
      });
    }
    let [last, stillFor] = [0, 0];
    await until(async () => {
      const sent = (await stats("one"))["sent"]!;
      stillFor = sent > 0 && sent === last ? stillFor + 1 : 0;
      last = sent;
      return stillFor === 20;
    }, "the child has stopped");
    assert.ok(last < (FLOOD_MIB / 2) * 1024 * 1024, `the child has sent ${last} bytes`);
    const grown = rssMiB(daemon.pid) - rssBefore;
    assert.ok(grown < 40, `the daemon has grown by ${grown} MiB`);
    // Whoever does not read holds up nobody else.
    assert.equal((await ask(daemon.port, { path: "/health" })).status, 200);

    const flood = readFlood(res);
    const answer = await until(() => flood.answer, "everything has come", 30_000);
    assert.equal(flood.count, answer.result.count);
    assert.ok(flood.count > (FLOOD_MIB * 1024 * 1024) / 4100);
  });
}
