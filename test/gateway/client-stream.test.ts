import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { SafeResponse } from "../../src/http/safe-response.ts";
import { ClientStream, Heart } from "../../src/gateway/client-stream.ts";
import { EventStream } from "../helpers/raw-http.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

const BEAT_MS = 5;
/** As the listeners of the daemon answer. */
const OURS = { ServerResponse: SafeResponse };

interface Rig {
  port: number;
  /** Opens an event stream through a ClientStream that nobody else writes to. */
  open: () => Promise<{ stream: ClientStream; res: ServerResponse; client: EventStream }>;
  /** The server's end of the next stream to be opened. */
  next: () => Promise<{ stream: ClientStream; res: ServerResponse }>;
}

async function rig(t: TestContext, beatMs = BEAT_MS): Promise<Rig> {
  const heart = new Heart(beatMs);
  t.after(() => heart.stop());
  const opened: { stream: ClientStream; res: ServerResponse }[] = [];
  const served = await serve(
    t,
    (_req, res) => {
      opened.push({ stream: new ClientStream(res, heart, 200, { "x-more": "1" }), res });
    },
    OURS,
  );
  const port = Number(served.url.port);
  const next = () => until(() => opened.shift(), "the stream is open");
  return {
    port,
    next,
    open: async () => {
      const client = await EventStream.open(port, { path: "/" });
      t.after(() => client.close());
      return { ...(await next()), client };
    },
  };
}

const beats = (text: string) => text.split(":\n\n").length - 1;

test("the head and a first comment are there at once, without waiting for a beat or an event", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client } = await open();
  await until(() => client.text !== "", "the first comment has come");
  assert.equal(client.text, ":\n\n");
  assert.equal(client.status, 200);
  const { headers } = client;
  assert.equal(headers["content-type"], "text/event-stream");
  assert.equal(headers["cache-control"], "no-cache, no-transform");
  assert.equal(headers["x-accel-buffering"], "no");
  assert.equal(headers["x-more"], "1");
});

test("a silent stream gets one comment for every beat", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream } = await open();
  for (let i = 0; i < 3; i++) stream.beat();
  await until(() => client.text.length === 12, "the comments have come");
  assert.equal(client.text, ":\n\n".repeat(4));
});

test("the heart beats for every stream that is open", async (t) => {
  const { open } = await rig(t);
  const clients = [await open(), await open(), await open()].map(({ client }) => client);
  await until(() => clients.every(({ text }) => beats(text) > 5), "each has five beats");
});

test("no comment comes in the middle of an event, however long it takes", async (t) => {
  const { open } = await rig(t);
  const { client, stream } = await open();
  const clock = await open();
  const start = 'event: message\ndata: {"a":';
  stream.part(Buffer.from(start), false);
  const since = beats(clock.client.text);
  await until(() => beats(clock.client.text) > since + 5, "five beats have gone by");
  assert.ok(client.text.endsWith(start), "nothing came behind the half event");
  stream.part(Buffer.from("1}\n\n"), true);
  await until(() => /1\}\n\n:\n\n/.test(client.text), "the comment has come");
  assert.deepEqual(client.events(), [{ name: "message", data: '{"a":1}' }]);
});

test("a comment that was due in the middle of an event comes once, right behind it", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream } = await open();
  stream.part(Buffer.from("data: 1"), false);
  for (let i = 0; i < 3; i++) stream.beat();
  stream.part(Buffer.from("2\n\n"), true);
  stream.part(Buffer.from("data: 3\n\n"), true);
  stream.end();
  await until(() => client.isEnded, "the stream has ended");
  assert.equal(client.text, ":\n\ndata: 12\n\n:\n\ndata: 3\n\n");
});

test("an event of the gateway's own goes between events, and ends a stream that was cut within one", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream } = await open();
  stream.say("data: own\n\n");
  stream.part(Buffer.from("data: half"), false);
  stream.say("data: never\n\n");
  await until(() => client.isEnded, "the stream has ended");
  assert.equal(client.text, ":\n\ndata: own\n\ndata: half");
});

/** A client that asks for the stream and never reads. */
async function openDeaf(t: TestContext, port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  t.after(() => socket.destroy());
  socket.pause();
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  return socket;
}

test("a client that does not read gets no comments, and more bytes only when it reads again", async (t) => {
  const { open, next, port } = await rig(t);
  const clock = await open();
  const socket = await openDeaf(t, port);
  const { stream, res } = await next();
  const event = Buffer.from(`data: ${"x".repeat(65_000)}\n\n`);
  // The kernel takes more for a while; full is what stays full from one look to the next.
  await until(() => {
    if (res.socket!.writableNeedDrain) return true;
    while (stream.part(event, true));
    return false;
  }, "the socket is full");
  const drained = { times: 0 };
  stream.onceDrained(() => (drained.times += 1));
  const [held, since] = [res.writableLength, beats(clock.client.text)];
  await until(() => beats(clock.client.text) > since + 5, "five beats have gone by");
  assert.equal(res.writableLength, held, "no comment was added to what waits");
  assert.equal(drained.times, 0);
  socket.resume();
  await until(() => drained.times === 1, "there is room again");
  let text = "";
  socket.on("data", (chunk: Buffer) => (text = (text + chunk.toString()).slice(-200)));
  await until(() => text.endsWith(":\n\n\r\n") && beats(text) > 1, "it gets its comments again");
});

test("a stream that is over is forgotten: nothing is written to it and the others go on", async (t) => {
  const { open } = await rig(t);
  const [left, ended, clock] = [await open(), await open(), await open()];
  const failures: unknown[] = [];
  for (const { res } of [left, ended]) res.on("error", (error) => failures.push(error));
  left.client.close();
  ended.stream.end();
  await until(() => left.res.closed && ended.client.isEnded, "both are over");
  const leftBeats = t.mock.method(left.stream, "beat");
  const endedBeats = t.mock.method(ended.stream, "beat");
  const since = beats(clock.client.text);
  await until(() => beats(clock.client.text) > since + 5, "five beats have gone by");
  assert.equal(leftBeats.mock.callCount() + endedBeats.mock.callCount(), 0);
  assert.deepEqual(failures, []);
});

test("what comes after the end is dropped, and ends nothing else", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream, res } = await open();
  const failures: unknown[] = [];
  res.on("error", (error) => failures.push(error));
  stream.say("data: last\n\n");
  stream.end();
  stream.say("data: late\n\n");
  stream.part(Buffer.from("data: later\n\n"), true);
  stream.end();
  await until(() => client.isEnded && res.closed, "the stream has ended");
  assert.equal(client.text, ":\n\ndata: last\n\n");
  assert.deepEqual(failures, []);
});

test("a client that does not read keeps its stream: what waits for it is told, and bounded by who writes", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream, res } = await open();
  client.pause();
  const event = Buffer.from(`data: ${"x".repeat(1024 * 1024)}\n\n`);
  for (let i = 0; i < 24; i++) stream.part(event, true);
  assert.equal(res.destroyed, false);
  assert.ok(stream.unread > 8 * event.length);
  client.resume();
  await until(() => client.events().length === 24, "all of it has come");
  assert.equal(stream.unread, 0);
});

test("what comes at once leaves in one write, and every byte of it as it was", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream, res } = await open();
  await until(() => client.text === ":\n\n", "the first comment has come");
  const writes = t.mock.method(res.socket!, "write");
  stream.say("data: é one\n\n");
  stream.part(Buffer.from("data: 二\n"), false);
  stream.part(Buffer.from("\n"), true);
  await until(() => client.text.endsWith("二\n\n"), "all has come");
  assert.equal(client.text, ":\n\ndata: é one\n\ndata: 二\n\n");
  assert.equal(writes.mock.callCount(), 1);
});

test("small and large parts keep their order", async (t) => {
  const { open } = await rig(t, 3_600_000);
  const { client, stream } = await open();
  const large = `data: ${"x".repeat(100_000)}\n\n`;
  const all = ["data: 1\n\n", large, "data: 2\n\n", "data: 3\n\n", large, "data: 4\n\n"];
  for (const text of all) stream.part(Buffer.from(text), true);
  stream.end();
  await until(() => client.isEnded, "the stream has ended");
  assert.equal(client.text, `:\n\n${all.join("")}`);
});

test("a stream that waits behind the answer before it, or whose client knows no chunks, is written too", async (t) => {
  const heart = new Heart(3_600_000);
  t.after(() => heart.stop());
  let answerFirst: (() => void) | undefined;
  const { url } = await serve(
    t,
    (req, res) => {
      if (req.url === "/first") {
        answerFirst = () => res.end("first");
        return;
      }
      const stream = new ClientStream(res, heart);
      stream.say("data: 1\n\n");
      stream.say("data: 2\n\n");
      stream.end();
    },
    OURS,
  );
  const text = (request: string): { soFar: () => string } => {
    let all = "";
    const socket = connect(Number(url.port), "127.0.0.1", () => socket.write(request));
    socket.on("data", (chunk: Buffer) => (all += chunk.toString()));
    t.after(() => socket.destroy());
    return { soFar: () => all };
  };
  const get = (path: string, version: string) => `GET ${path} HTTP/${version}\r\nhost: a\r\n\r\n`;
  const old = text(get("/", "1.0"));
  await until(() => old.soFar().endsWith("data: 2\n\n"), "the old client has all of it");
  assert.match(old.soFar(), /\r\n\r\n:\n\ndata: 1\n\ndata: 2\n\n$/);
  const piped = text(get("/first", "1.1") + get("/", "1.1"));
  await until(() => answerFirst !== undefined, "the first request is there");
  answerFirst!();
  await until(() => piped.soFar().endsWith("0\r\n\r\n"), "the second answer is whole");
  assert.match(piped.soFar(), /first[^]*:\n\n[^]*data: 1\n\n[^]*data: 2\n\n/);
});
