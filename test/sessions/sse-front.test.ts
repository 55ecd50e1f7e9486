import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { CallWatch } from "../../src/sessions/calls.ts";
import { EventLog, EventLogs } from "../../src/sessions/event-log.ts";
import type { NumberedStream } from "../../src/sessions/numbered-stream.ts";
import type { Outlet } from "../../src/sessions/outlet.ts";
import { SseFront } from "../../src/sessions/sse-front.ts";
import { call } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import { sessionOptions } from "../helpers/session.ts";
import type { TestInstance } from "../helpers/instance.ts";
import { serve } from "../helpers/serve.ts";
import { AllUnread, Unread } from "../../src/sessions/unread.ts";
import { until } from "../helpers/until.ts";

interface Rig {
  child: TestInstance;
  url: URL;
  front: SseFront;
  /** The client's stream; what became of its session. */
  outlet: Outlet;
  ends: { parked: number; over: number };
  /** What the client's stream got. */
  got: { text: string; isEnded: boolean };
  /** Decides whether the client has room, and how many bytes it has not read. */
  client: { hasRoom: boolean; unread: number; drains: (() => void)[] };
  /** The child's streams that are open, and what was posted. */
  streams: Set<ServerResponse>;
  posts: string[];
  send: (text: string, watch?: CallWatch) => Promise<number>;
}

async function rig(t: TestContext, resumeWindowMs = 60_000): Promise<Rig> {
  const streams = new Set<ServerResponse>();
  const posts: string[] = [];
  const { url } = await serve(t, (req, res) => {
    if (req.method === "GET") {
      streams.add(res);
      res.on("close", () => streams.delete(res));
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write("event: endpoint\ndata: /messages\n\n");
      return;
    }
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      posts.push(body);
      if (body.includes('"hold"')) return;
      res.writeHead(body.includes('"refuse"') ? 400 : 202).end();
    });
  });
  const child = testInstance();
  const got = { text: "", isEnded: false };
  const client = { hasRoom: true, unread: 0, drains: [] as (() => void)[] };
  const { instance } = child;
  const place = { instance, askable: new Set<never>() };
  const ends = { parked: 0, over: 0 };
  const outlet: Outlet = {
    unread: 0,
    part(bytes) {
      got.text += bytes.toString();
      return client.hasRoom;
    },
    event(_id, text) {
      got.text += text;
      return client.hasRoom;
    },
    onceDrained: (resume) => client.drains.push(resume),
    end: () => (got.isEnded = true),
  };
  const front = new SseFront({
    ...sessionOptions(instance),
    choose: () => place,
    isBridged: false,
    requestId: "req_1",
    log: new EventLog<NumberedStream>(new EventLogs(), 256),
    resumeWindowMs,
    onAway() {},
    onParked: () => (ends.parked += 1),
    onOver: () => (ends.over += 1),
    unread: new Unread(new AllUnread({ unreadBytes: 1024, unreadTotalBytes: 4096 }), client),
    from: outlet,
  });
  front.session.begin(place);
  t.after(() => {
    front.close();
    child.end("the test is over");
  });
  const send: Rig["send"] = async (text, watch) => {
    const body = Buffer.from(text);
    const seen = peek(body);
    assert.ok(seen.kind === "messages");
    return (await front.deliver({ body, messages: seen.messages, headers: [] }, watch)).status;
  };
  return { child, url, front, outlet, ends, got, client, streams, posts, send };
}

interface Failure {
  id: unknown;
  error: { data: { type: string; requestId: string } };
}

const failuresIn = (text: string): Failure[] =>
  [...text.matchAll(/^data: (.*)$/gm)]
    .map(([, data]) => JSON.parse(data!) as Failure)
    .filter(({ error }) => error !== undefined);

test("a session needs no child to exist; its first messages share one start and one link", async (t) => {
  const { child, url, streams, posts, send } = await rig(t);
  assert.equal(child.starts(), 0);
  assert.equal(child.instance.usage.sessions, 1);
  const sent = [1, 2, 3].map((id) => send(call(id, "echo")));
  await until(() => child.starts() === 1, "a start was asked for");
  child.start(url);
  assert.deepEqual(await Promise.all(sent), [202, 202, 202]);
  assert.equal(child.starts(), 1);
  assert.equal(streams.size, 1);
  assert.equal(posts.length, 3);
  assert.equal(child.instance.usage.inFlight, 3);
});

test("a start that fails is told on the stream to whoever waited, and the next message tries again", async (t) => {
  const { child, url, send, got } = await rig(t);
  const sent = [send(call(1, "echo")), send(call(2, "echo"))];
  child.refuse(new SupervisorError("INSTANCE_START_TIMEOUT", "too slow"));
  assert.deepEqual(await Promise.all(sent), [202, 202]);
  assert.deepEqual(
    failuresIn(got.text).map(({ id, error }) => [id, error.data.type]),
    [
      [1, "INSTANCE_START_TIMEOUT"],
      [2, "INSTANCE_START_TIMEOUT"],
    ],
  );
  assert.equal(child.instance.usage.inFlight, 0);
  assert.equal(got.isEnded, false);
  child.start(url);
  assert.equal(await send(call(3, "echo")), 202);
});

test("whatever the child or the machine is to blame for is told on the stream, and nothing else is", async (t) => {
  const { child, send, got } = await rig(t);
  const onStream = [
    "INSTANCE_SPAWN_FAILED",
    "INSTANCE_EXITED",
    "INSTANCE_START_TIMEOUT",
    "INSTANCE_BACKING_OFF",
    "INSTANCE_LIMIT",
    "TOKEN_MISSING",
    "TOO_MANY_CHILDREN",
    "UPSTREAM_REFUSED",
    "UPSTREAM_RESET",
    "UPSTREAM_INVALID",
    "UPSTREAM_TIMEOUT",
    "RESOURCES_EXHAUSTED",
    "DISK_FULL",
    "INTERNAL",
  ] as const;
  for (const code of onStream) {
    const sent = send(call(code, "echo"));
    await until(() => child.starts() === 1 + onStream.indexOf(code), "a start was asked for");
    child.refuse(new SupervisorError(code, "no"));
    assert.equal(await sent, 202, code);
  }
  assert.deepEqual(
    failuresIn(got.text).map(({ id, error }) => [id, error.data.type]),
    onStream.map((code) => [code, code]),
  );
  const sent = send(call("late", "echo"));
  await until(() => child.starts() === 1 + onStream.length, "a start was asked for");
  child.refuse(new SupervisorError("USER_DISABLED", "no"));
  await assert.rejects(sent, { code: "USER_DISABLED" });
  assert.equal(failuresIn(got.text).length, onStream.length);
});

test("a client that left while the child was starting leaves no link behind", async (t) => {
  const { child, url, front, streams, send } = await rig(t);
  const sent = send(call(1, "echo"));
  front.close();
  assert.equal(child.instance.usage.sessions, 0);
  child.start(url);
  await assert.rejects(sent, { code: "SESSION_NOT_FOUND" });
  await until(() => streams.size === 0, "no stream is open");
  await assert.rejects(send(call(2, "echo")), { code: "SESSION_NOT_FOUND" });
  assert.equal(child.instance.usage.inFlight, 0);
});

test("a client that leaves takes its link and its calls along", async (t) => {
  const { child, url, front, streams, send } = await rig(t);
  child.start(url);
  await send(call(1, "sleep"));
  assert.equal(child.instance.usage.inFlight, 1);
  front.close();
  front.close();
  assert.deepEqual(child.instance.usage, { ...child.instance.usage, sessions: 0, inFlight: 0 });
  await until(() => streams.size === 0, "the child's stream is closed");
});

test("a message that the child refuses is not in flight", async (t) => {
  const { child, url, send } = await rig(t);
  child.start(url);
  assert.equal(await send(call(1, "refuse")), 400);
  assert.equal(child.instance.usage.inFlight, 0);
});

test("a message without a request is refused by status: nobody waits for it on the stream", async (t) => {
  const { child, send, got } = await rig(t);
  const sent = send('{"jsonrpc":"2.0","method":"notifications/initialized"}');
  child.refuse(new SupervisorError("INSTANCE_START_TIMEOUT", "too slow"));
  await assert.rejects(sent, { code: "INSTANCE_START_TIMEOUT" });
  assert.equal(got.text, "");
});

const typesIn = (text: string): unknown[] =>
  failuresIn(text).map(({ id, error }) => [id, error.data.type]);

test("a child that goes: calls under way fail with their ids, the stream stays, and the next message goes to the next child", async (t) => {
  const { child, url, got, streams, posts, send } = await rig(t);
  child.start(url);
  await send(call(1, "sleep"));
  await send(call("two", "sleep"));
  child.end("was killed by SIGKILL");
  for (const stream of streams) stream.destroy();
  await until(() => failuresIn(got.text).length === 2, "both are told");
  const data = {
    type: "INSTANCE_EXITED",
    requestId: "req_1",
    reason: "was killed by SIGKILL",
    mayHaveHappened: true,
  };
  assert.deepEqual(
    failuresIn(got.text).map(({ id, error }) => [id, error.data]),
    [1, "two"].map((id) => [id, data]),
  );
  assert.equal(await send(call(3, "echo")), 202);
  assert.deepEqual([posts.at(-1), got.isEnded], [call(3, "echo"), false]);
  assert.equal(child.instance.usage.inFlight, 1);
  assert.equal(child.instance.usage.sessions, 1);
});

test("a call that its child had not even taken when it ended failed for that reason and no other", async (t) => {
  const { child, url, got, posts, send } = await rig(t);
  child.start(url);
  const codes: string[] = [];
  const held = send(call(1, "hold"), {
    requestId: "req_2",
    failApart: ({ code }) => void codes.push(code),
    begin: () => ({ end() {} }),
  });
  await until(() => posts.length === 1, "the child has it");
  child.end("exited with code 1");
  assert.equal(await held, 202);
  await until(() => typesIn(got.text).length > 0, "it is told");
  assert.deepEqual(codes, ["INSTANCE_EXITED"]);
  assert.deepEqual(typesIn(got.text), [[1, "INSTANCE_EXITED"]]);
});

test("a child that is on its way out gets no more messages, and its last answers pass", async (t) => {
  const { child, url, got, streams, posts, send } = await rig(t);
  child.start(url);
  await send(call(1, "sleep"));
  child.drain();
  assert.equal(await send(call(2, "echo")), 202);
  assert.deepEqual([typesIn(got.text), posts.length, streams.size], [[], 2, 2]);
  assert.equal(child.instance.usage.inFlight, 2);
  for (const stream of streams) stream.write('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n');
  await until(() => child.instance.usage.inFlight === 1, "the answer has come");
  await until(() => streams.size === 1, "the last stream there is closed");
  assert.equal(got.text.split('"result":{}').length, 2);
});

test("a child that ends this stream only is opened another, and what waited is told", async (t) => {
  const { child, url, got, streams, send } = await rig(t);
  child.start(url);
  await send(call(1, "sleep"));
  for (const stream of streams) stream.end();
  await until(() => typesIn(got.text).length > 0, "it is told");
  assert.match(got.text, /"id":1,"error":/);
  assert.equal(await send(call(2, "sleep")), 202);
  assert.deepEqual([got.isEnded, child.starts()], [false, 1]);
});

test("a client without room stops the child's stream, and is waited for once, however many events came", async (t) => {
  const { child, url, got, client, streams, send } = await rig(t);
  child.start(url);
  await send(call(1, "sleep"));
  client.hasRoom = false;
  const [stream] = streams;
  const events = Array.from({ length: 500 }, (_, i) => `data: {"n":${i}}\n\n`).join("");
  stream!.write(events);
  await until(() => got.text.length > 0, "a part of what was read has passed");
  const passed = got.text.length;
  assert.equal(client.drains.length, 1);

  const more = `data: ${"x".repeat(1024)}\n\n`;
  let isAccepted = 0;
  await until(() => {
    if (stream!.writableNeedDrain) return true;
    while (stream!.write(more)) isAccepted += 1;
    return false;
  }, "the child has stopped");
  assert.ok(isAccepted > 0);
  assert.equal(got.text.length, passed, "nothing more was read");
  client.hasRoom = true;
  client.drains.shift()!();
  const all = events.length + isAccepted * more.length;
  await until(() => got.text.length >= all, "the rest comes");
  assert.ok(got.text.startsWith(events), "in order");
});

test("for a client that has let too much wait a question is refused, a notification dropped, an answer replaced", async (t) => {
  const { child, url, front, got, client, posts, send } = await rig(t);
  child.start(url);
  await send(call(1, "slow"));
  client.unread = 1024;
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","id":"q","method":"roots/list"}'), undefined);
  await until(() => posts.some((body) => body.includes('"id":"q"')), "the server has its answer");
  assert.match(posts.at(-1)!, /"error":\{.*limits\.unread/);
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","method":"notifications/x"}'), undefined);
  assert.equal(got.text, "");
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","id":1,"result":{}}'), undefined);
  const failures = failuresIn(got.text);
  assert.deepEqual(
    failures.map(({ id, error }) => [id, error.data.type]),
    [[1, "CLIENT_TOO_SLOW"]],
  );
  client.unread = 0;
  front.onMessage(Buffer.from('{"jsonrpc":"2.0","method":"notifications/y"}'), undefined);
  assert.match(got.text, /notifications\/y/);
});

/** A client that comes back: what it hears from then on. */
function comeBack(front: SseFront, after: number): { text: string } {
  const heard = { text: "" };
  const hear = (text: string): boolean => (heard.text += text).length > 0;
  const part = (bytes: Buffer): boolean => hear(bytes.toString());
  const event = (idLine: string, text: string): boolean => hear(idLine + text);
  front.goOn({ unread: 0, part, event, onceDrained() {}, end() {} }, after);
  return heard;
}

test("a client that comes back in time hears the rest, and its calls and its link have lived on", async (t) => {
  const { child, url, front, outlet, ends, got, streams, send } = await rig(t);
  child.start(url);
  await send(call(1, "slow"));
  const [stream] = streams;
  stream!.write("id: of the server\ndata: heard\n\n");
  await until(() => got.text.includes("heard"), "the client has it");
  front.left(outlet);
  await assert.rejects(send('{"jsonrpc":"2.0","id":"p","method":"ping"}'), {
    code: "SESSION_NOT_FOUND",
  });
  assert.equal(await send(call(2, "slow")), 202);
  stream!.write('id: 7\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\ndata: unheard\n\n');
  await until(() => front.session.inFlight === 1, "it is answered");
  const heard = comeBack(front, 1);
  await until(() => heard.text.includes("unheard"), "the rest comes");
  const id = front.firstId.replace(/0$/, "");
  const rest = `id: ${id}2\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\nid: ${id}3\ndata: unheard\n\n`;
  assert.equal(heard.text, rest);
  assert.deepEqual([streams.size, child.instance.usage.inFlight, ends.parked], [1, 1, 0]);
});

test("the calls of a client that does not come back are cancelled, its link ends, and it may come back yet", async (t) => {
  const { child, url, front, outlet, ends, streams, posts, send } = await rig(t, 20);
  child.start(url);
  await send(call(1, "slow"));
  front.left(outlet);
  await until(() => ends.parked === 1 && streams.size === 0, "its link is closed");
  assert.ok(posts.some((body) => /notifications\/cancelled.*"requestId":1/.test(body)));
  const { sessions, inFlight } = child.instance.usage;
  assert.deepEqual([sessions, inFlight, ends.over], [0, 0, 0]);
  const heard = comeBack(front, 0);
  assert.match(heard.text, /"id":1,"error".*"mayHaveHappened":true/);
  assert.equal(await send(call(2, "echo")), 202);
  assert.deepEqual([child.instance.usage.sessions, streams.size], [1, 1]);
});

test("a session in which nothing was said is over with its stream", async (t) => {
  const { front, outlet, ends } = await rig(t);
  front.left(outlet);
  assert.deepEqual(ends, { parked: 0, over: 1 });
});
