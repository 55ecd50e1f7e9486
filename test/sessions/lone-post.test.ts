import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import type { TestContext } from "node:test";
import { test } from "node:test";
import type { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { Backends } from "../../src/sessions/backends.ts";
import { LonePost } from "../../src/sessions/lone-post.ts";
import type { LoneRequest } from "../../src/sessions/lone-post.ts";
import type { Resend } from "../../src/sessions/resend.ts";
import { call } from "../helpers/fixtures.ts";
import { testInstance } from "../helpers/instance.ts";
import type { TestInstance } from "../helpers/instance.ts";
import { serve } from "../helpers/serve.ts";
import { until } from "../helpers/until.ts";

interface Seen {
  status: number;
  isStream: boolean;
  text: string;
  ends: number;
  failure: SupervisorError | undefined;
  unanswered: readonly string[];
  drains: (() => void)[];
}

interface Rig {
  connections: () => Promise<number>;
  /** Requests in flight of the instance. */
  inFlight: () => number;
  start: (
    body: string,
    more?: Partial<LoneRequest>,
    resend?: Resend,
  ) => { post: LonePost; seen: Seen };
  child: TestInstance;
  /** Whether the client has room. */
  room: { isThere: boolean };
}

async function rig(t: TestContext, handler: RequestListener): Promise<Rig> {
  const served = await serve(t, handler);
  const child = testInstance();
  child.start(new URL("/mcp", served.url));
  t.after(() => child.end("the test is over"));
  await child.instance.ensure();
  const backends = new Backends();
  const room = { isThere: true };
  const start: Rig["start"] = (text, more = {}, resend = "reads") => {
    const body = Buffer.from(text);
    const peeked = peek(body);
    assert.ok(peeked.kind === "messages");
    const seen: Seen = {
      status: 0,
      isStream: false,
      text: "",
      ends: 0,
      failure: undefined,
      unanswered: [],
      drains: [],
    };
    const { instance } = child;
    const request: LoneRequest = {
      method: "POST",
      headers: [],
      body,
      messages: peeked.messages,
      watch: { requestId: "life-1", begin: () => ({ end() {} }), failApart() {} },
      onInitialized() {},
      outlet: {
        accepted: "either",
        unread: 0,
        head: (status, _headers, isStream) => Object.assign(seen, { status, isStream }),
        part(bytes) {
          seen.text += bytes.toString();
          return room.isThere;
        },
        onceDrained: (resume) => seen.drains.push(resume),
        end: () => (seen.ends += 1),
        fail: (failure, unanswered) => Object.assign(seen, { failure, unanswered }),
      },
      ...more,
    };
    const own = { instance, backends, resend, survival: undefined };
    return { post: new LonePost({ ...request, ...own }, instance.live!), seen };
  };
  const connections = () => served.connections();
  return { connections, inFlight: () => child.instance.usage.inFlight, start, room, child };
}

const eventStream = { "content-type": "text/event-stream" };

test("a call is in flight from its sending to the end of its answer, in one piece or a stream", async (t) => {
  const { start, inFlight } = await rig(t, (req, res) => {
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      const { id } = JSON.parse(body) as { id: string };
      const answer = JSON.stringify({ jsonrpc: "2.0", id, result: {} });
      if (id === "stream") res.writeHead(200, eventStream).end(`data: ${answer}\n\n`);
      else res.end(answer);
    });
  });
  for (const id of ["stream", "whole"]) {
    const { seen } = start(call(id, "echo"));
    assert.equal(inFlight(), 1);
    await until(() => seen.ends === 1, "the answer is there");
    assert.equal(seen.isStream, id === "stream");
    assert.equal(inFlight(), 0);
  }
});

test("headers that cannot be sent fail before anything is sent or counted", async (t) => {
  const { start, inFlight } = await rig(t, () => assert.fail("it was called"));
  assert.throws(() => start(call(1, "echo"), { headers: ["authorization", "a\nb"] }), {
    code: "UPSTREAM_INVALID",
  });
  assert.equal(inFlight(), 0);
});

test("a client that leaves ends the request at the server, and hears nothing more", async (t) => {
  let isGone = false;
  const { start, inFlight, connections } = await rig(t, (_req, res) => {
    res.writeHead(200, eventStream).write(":\n\n");
    res.on("close", () => (isGone = true));
  });
  const { post, seen } = start(call(1, "sleep"));
  await until(() => seen.text !== "", "the stream is open");
  post.abort();
  post.abort();
  assert.equal(inFlight(), 0);
  await until(() => isGone, "the server knows");
  await until(async () => (await connections()) === 0, "no connection is left");
  assert.deepEqual([seen.ends, seen.failure], [0, undefined]);
});

test("a stream that breaks fails the requests that it has not answered, by their ids", async (t) => {
  const { start, inFlight } = await rig(t, (_req, res) => {
    res.writeHead(200, eventStream);
    res.write('data: {"jsonrpc":"2.0","id":2,"result":{}}\n\n', () => res.destroy());
  });
  const { seen } = start(`[${[1, 2, 3].map((id) => call(id, "echo")).join(",")}]`);
  await until(() => seen.failure, "the failure is known");
  assert.equal(seen.failure?.code, "UPSTREAM_RESET");
  assert.deepEqual(seen.unanswered, ["1", "3"]);
  assert.equal(inFlight(), 0);
});

test("a 401 of the server is a failure of the gateway's, and the connection is not reused", async (t) => {
  const { start, connections } = await rig(t, (_req, res) => {
    res.writeHead(401, { "www-authenticate": "Bearer", "content-length": "0" }).end();
  });
  for (let i = 0; i < 3; i++) {
    const { seen } = start(call(i, "echo"));
    await until(() => seen.failure, "the failure is known");
    assert.equal(seen.failure?.code, "UPSTREAM_INVALID");
    assert.equal(seen.failure?.status, 502);
    assert.equal(seen.status, 0);
  }
  await until(async () => (await connections()) === 0, "no connection is left");
});

test("a client without room stops the server, and is waited for once, however many events came", async (t) => {
  const events = Array.from({ length: 500 }, (_, i) => `data: {"n":${i}}\n\n`).join("");
  const more = Buffer.from(`data: ${"x".repeat(65_000)}\n\n`);
  let flood: (() => number) | undefined;
  let isStopped = false;
  const { start, room } = await rig(t, (_req, res) => {
    res.writeHead(200, eventStream).write(events);
    flood = () => {
      isStopped = res.writableNeedDrain;
      let count = 0;
      while (res.write(more)) count += 1;
      return count;
    };
  });
  room.isThere = false;
  const { seen } = start(call(1, "flood"));
  await until(() => seen.text.length > 0, "a part of what was read has passed");
  const passed = seen.text.length;
  assert.equal(seen.drains.length, 1);
  let accepted = 0;
  await until(() => {
    accepted += flood!();
    return isStopped;
  }, "the server has stopped");
  assert.ok(accepted > 0);
  assert.equal(seen.text.length, passed, "nothing more was read");
  room.isThere = true;
  seen.drains.shift()!();
  const all = events.length + accepted * more.length;
  await until(() => seen.text.length >= all, "the rest comes");
  assert.ok(seen.text.startsWith(events), "in order");
});

const list = (id: number): string => JSON.stringify({ jsonrpc: "2.0", id, method: "tools/list" });
const answerTo = (id: number, of: string): string =>
  JSON.stringify({ jsonrpc: "2.0", id, result: { of } });

/** Servers of which the first never answers; with `begins` it has begun a stream of events. */
async function twoServers(t: TestContext, begins?: string, second = "json") {
  let isFirst = true;
  let asked = 0;
  const made = await rig(t, (_req, res) => {
    asked += 1;
    if (isFirst && begins === undefined) return;
    if (isFirst) return void res.writeHead(200, eventStream).write(begins);
    if (second === "json") res.end(answerTo(1, "the second"));
    else res.writeHead(200, eventStream).end(second);
  });
  const { child, start, inFlight } = made;
  const { url } = child.instance.live!.target as { url: URL };
  return {
    start,
    inFlight,
    hasAsked: (times: number) => until(() => asked === times, "it was asked"),
    asked: () => asked,
    /** The first is killed; the next one serves on the same port. */
    kill: () => {
      isFirst = false;
      child.end("was killed by SIGKILL");
      child.start(url);
    },
  };
}

test("a list whose server is killed before it has answered is answered by the next one", async (t) => {
  const { start, kill, hasAsked, inFlight } = await twoServers(t);
  const { seen } = start(list(1));
  await hasAsked(1);
  kill();
  await until(() => seen.ends === 1, "the answer is there");
  assert.deepEqual([seen.status, seen.text], [200, answerTo(1, "the second")]);
  assert.equal(inFlight(), 0);
});

test("a call whose server is killed fails with why, and that it may have happened", async (t) => {
  const { start, kill, hasAsked, asked } = await twoServers(t);
  const { seen } = start(call(1, "pay"));
  await hasAsked(1);
  kill();
  await until(() => seen.failure, "the failure is known");
  assert.equal(seen.failure?.code, "INSTANCE_EXITED");
  assert.equal(seen.failure.data?.["mayHaveHappened"], true);
  assert.deepEqual([seen.unanswered, asked()], [["1"], 1]);
});

test("a list is not sent again where nothing is to be", async (t) => {
  const { start, kill, hasAsked } = await twoServers(t);
  const { seen } = start(list(1), {}, "never");
  await hasAsked(1);
  kill();
  await until(() => seen.failure, "the failure is known");
  assert.equal(seen.failure?.code, "INSTANCE_EXITED");
});

const NEWS = 'data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n';

test("an answer that has begun as a stream goes on there, whatever form the next one chooses", async (t) => {
  for (const second of ["json", `data: ${answerTo(1, "the second")}\n\n`]) {
    const { start, kill } = await twoServers(t, NEWS, second);
    const { seen } = start(list(1));
    await until(() => seen.text === NEWS, "the stream has begun");
    kill();
    await until(() => seen.ends === 1, "the answer is there");
    assert.ok(seen.text.endsWith(`data: ${answerTo(1, "the second")}\n\n`), seen.text);
    assert.equal(seen.text.split("data:").length, 3);
  }
});

for (const resend of ["reads", "never"] as const)
  test(`with "${resend}" who listens by 2026-07-28 goes on listening to the next server, and is told once that it does`, async (t) => {
    const told = 'data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}\n\n';
    const { start, kill } = await twoServers(t, told, told + NEWS);
    const listen = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "subscriptions/listen" });
    const { seen } = start(listen, {}, resend);
    await until(() => seen.text === told, "it listens");
    kill();
    await until(() => seen.text !== told, "the next one has news");
    assert.equal(seen.text, told + NEWS);
  });

test("no server is kept, or started again after a stop, for who listens; the next one that is there is listened to", async (t) => {
  let asked = 0;
  const { child, start } = await rig(t, (_req, res) => {
    asked += 1;
    res.writeHead(200, eventStream).write(NEWS);
  });
  const first = child.instance.live!;
  const { url } = first.target as { url: URL };
  const listen = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "subscriptions/listen" });
  const { post, seen } = start(listen);
  await until(() => seen.text === NEWS, "it listens");
  assert.equal(first.work.inFlight, 0);
  child.end("was stopped by an admin", false);
  const starts = child.starts();
  await until(() => child.instance.live === undefined, "the server is stopped");
  child.start(url);
  const next = await child.instance.ensure();
  assert.deepEqual([child.starts(), asked, seen.failure], [starts + 1, 1, undefined]);
  post.follow(next);
  await until(() => seen.text === NEWS + NEWS, "the next one is listened to");
  post.abort();
  post.follow(first);
  assert.deepEqual([asked, child.instance.usage.followers.size], [2, 0]);
});

test("a server that ends its stream early, and lives, ends the client's", async (t) => {
  const { start, inFlight } = await rig(t, (_req, res) => {
    res.writeHead(200, eventStream).end("id: 1\ndata:\n\n");
  });
  const { seen } = start(call(1, "long"));
  await until(() => seen.ends === 1, "the stream has ended");
  assert.deepEqual([seen.failure, inFlight()], [undefined, 0]);
});
