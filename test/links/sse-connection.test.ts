import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { test } from "node:test";
import type { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import type { EventPart } from "../../src/mcp/sse.ts";
import { HttpClient } from "../../src/links/http1/client.ts";
import { SseConnection } from "../../src/links/sse-connection.ts";
import { serve } from "../helpers/serve.ts";
import type { Served } from "../helpers/serve.ts";
import { makeTimeSkippable } from "../helpers/skippable-time.ts";
import { until } from "../helpers/until.ts";

const ENDPOINT = "event: endpoint\ndata: /messages\n\n";
/** How long a POST may wait, unless a test says otherwise. */
const PATIENCE_MS = 10_000;
const BODY = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"ping"}');
const posting = (body: Buffer, headers: string[] = []) => ({ body, messages: [], headers });

interface Asked {
  method: string;
  url: string;
  headers: IncomingMessage["headers"];
  body: string;
}

interface Server extends Served {
  asked: Asked[];
  /** The event streams that are open. */
  streams: Set<ServerResponse>;
}

type Handle = (asked: Asked, res: ServerResponse) => void;

/** A server whose streams begin with `first`, PORT filled in; `handle` answers everything but the GET of a stream. */
async function sseServer(t: TestContext, first: string, handle: Handle): Promise<Server> {
  const asked: Asked[] = [];
  const streams = new Set<ServerResponse>();
  const served = await serve(t, (req, res) => {
    let body = "";
    req.setEncoding("utf8").on("data", (text: string) => (body += text));
    req.on("end", () => {
      const { method = "", url = "", headers } = req;
      const all = { method, url, headers, body };
      asked.push(all);
      if (url !== "/sse") return handle(all, res);
      streams.add(res);
      res.on("close", () => streams.delete(res));
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.write(first.replace("PORT", served.url.port));
    });
  });
  return { ...served, asked, streams };
}

const accept: Handle = (_asked, res) => void res.writeHead(202).end("Accepted");

interface Opened {
  link: SseConnection;
  parts: EventPart[];
  /** How the stream ended, once it has. */
  closed: (SupervisorError | undefined)[];
}

async function open(
  t: TestContext,
  url: URL,
  { postTimeoutMs = PATIENCE_MS, isGone = (): boolean => false } = {},
): Promise<Opened> {
  const client = new HttpClient(url, false, { isGone });
  t.after(() => client.close());
  const parts: EventPart[] = [];
  const closed: (SupervisorError | undefined)[] = [];
  const link = await SseConnection.open({
    client,
    target: { url, headers: { "x-own": "token of the user" } },
    postTimeoutMs,
    onPart: (part) => parts.push(part),
    onClosed: (error) => closed.push(error),
  });
  t.after(() => link.close());
  return { link, parts, closed };
}

function skipper(t: TestContext): (ms: number) => void {
  const { skip, restore } = makeTimeSkippable();
  t.after(restore);
  return skip;
}

test("a POST that is never answered is given up in time, the next one and the stream are not", async (t) => {
  const skip = skipper(t);
  const { url, streams, asked } = await sseServer(t, ENDPOINT, ({ body }, res) => {
    if (body !== "mute") res.writeHead(202).end("Accepted");
  });
  const { link, closed } = await open(t, url);
  // Twice, so that the timer that all posts share is seen to start again.
  for (const arrived of [1, 2]) {
    let isGivenUp = false;
    const mute = assert
      .rejects(link.post(posting(Buffer.from("mute"))), { code: "UPSTREAM_TIMEOUT", status: 504 })
      .finally(() => (isGivenUp = true));
    const hasArrived = () => asked.filter(({ body }) => body === "mute").length === arrived;
    await until(hasArrived, "it has arrived");
    skip(PATIENCE_MS - 1_000);
    assert.equal((await link.post(posting(BODY))).status, 202);
    assert.equal(isGivenUp, false);
    skip(1_000);
    await mute;
  }
  assert.equal((await link.post(posting(BODY))).status, 202);
  assert.equal(streams.size, 1);
  assert.deepEqual(closed, []);
});

test("posts that wait at different times are each given up at their own", async (t) => {
  const skip = skipper(t);
  const { url, asked } = await sseServer(t, ENDPOINT, () => {});
  const { link } = await open(t, url);
  const givenUp: string[] = [];
  const post = async (name: string) => {
    await assert.rejects(link.post(posting(BODY)), { code: "UPSTREAM_TIMEOUT" });
    givenUp.push(name);
  };
  const first = post("first");
  await until(() => asked.length === 2, "the first has arrived");
  skip(4_000);
  const second = post("second");
  await until(() => asked.length === 3, "the second has arrived");
  skip(PATIENCE_MS - 4_000);
  await first;
  assert.deepEqual(givenUp, ["first"]);
  skip(4_000);
  await second;
});

test("a POST that was given up leaves no connection", async (t) => {
  const skip = skipper(t);
  const served = await sseServer(t, ENDPOINT, () => {});
  const { link } = await open(t, served.url);
  const given = assert.rejects(link.post(posting(BODY)), { code: "UPSTREAM_TIMEOUT" });
  await until(() => served.asked.length === 2, "it has arrived");
  skip(PATIENCE_MS);
  await given;
  await until(async () => (await served.connections()) === 1, "only the stream is left");
});

test("a stream without an endpoint is given up in time and closed", async (t) => {
  const { url, streams } = await sseServer(t, ": soon\n\n", accept);
  await assert.rejects(open(t, url, { postTimeoutMs: 50 }), { code: "UPSTREAM_TIMEOUT" });
  await until(() => streams.size === 0, "the stream is closed");
});

for (const [what, endpoint] of [
  ["another host", "http://evil.example/messages"],
  ["another port", "http://127.0.0.1:1/messages"],
  ["another scheme", "https://127.0.0.1/messages"],
  ["a name and password", "http://a:b@127.0.0.1:PORT/messages"],
  ["no URL", "http://[/messages"],
]) {
  test(`an endpoint with ${what} is refused, and the stream is closed`, async (t) => {
    const { url, streams, asked } = await sseServer(
      t,
      `event: endpoint\ndata: ${endpoint}\n\n`,
      accept,
    );
    await assert.rejects(open(t, url), { code: "UPSTREAM_INVALID", status: 502 });
    await until(() => streams.size === 0, "the stream is closed");
    assert.deepEqual(
      asked.map(({ method }) => method),
      ["GET"],
    );
  });
}

test("a later endpoint takes the place of the first", async (t) => {
  const { url, streams, asked } = await sseServer(t, ENDPOINT, accept);
  const { link, parts } = await open(t, url);
  const [stream] = streams;
  stream!.write("event: endpoint\ndata: /later?x=1\n\ndata: {}\n\n");
  await until(() => parts.length === 1, "the event behind it has come");
  await link.post(posting(BODY));
  assert.equal(asked.at(-1)?.url, "/later?x=1");
});

test("a later endpoint on another origin ends the link and is never called", async (t) => {
  const { url, streams } = await sseServer(t, ENDPOINT, accept);
  const other = await serve(t, () => assert.fail("it was called"));
  const { closed } = await open(t, url);
  const [stream] = streams;
  stream!.write(`event: endpoint\ndata: http://${other.url.host}/messages\n\n`);
  await until(() => closed.length === 1, "the link has ended");
  assert.equal(closed[0]?.code, "UPSTREAM_INVALID");
  await until(() => streams.size === 0, "the stream is closed");
});

test("a refusal that comes whole in one read is a failed opening and no end of an open link", async (t) => {
  const { url } = await serve(t, (_req, res) =>
    res.writeHead(401, { "content-length": "0" }).end(),
  );
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  let isClosed = false;
  const opening = SseConnection.open({
    client,
    target: { url, headers: {} },
    postTimeoutMs: 10_000,
    onPart: () => assert.fail("it was opened"),
    onClosed: () => (isClosed = true),
  });
  await assert.rejects(opening, { code: "UPSTREAM_INVALID" });
  assert.equal(isClosed, false);
});

for (const [what, status, type] of [
  ["a status that is not 200", 404, "text/event-stream"],
  ["a body that is no event stream", 200, "text/html"],
  ["a redirect that would change the method", 302, "text/html"],
] as const) {
  test(`${what} is no stream`, async (t) => {
    const { url } = await serve(t, (_req, res) => {
      res.writeHead(status, { "content-type": type, location: "/elsewhere" }).end();
    });
    await assert.rejects(open(t, url), { code: "UPSTREAM_INVALID" });
  });
}

test("a server that ends its stream and one that breaks it are told apart", async (t) => {
  const { url, streams } = await sseServer(t, ENDPOINT, accept);
  const ended = await open(t, url);
  const [stream] = streams;
  stream!.end();
  await until(() => ended.closed.length === 1, "the end is known");
  assert.deepEqual(ended.closed, [undefined]);
  const broken = await open(t, url);
  const [another] = streams;
  another!.socket!.destroy();
  await until(() => broken.closed.length === 1, "the break is known");
  assert.equal(broken.closed[0]?.code, "UPSTREAM_RESET");
});

test("closing the link closes its stream, fails its posts and is not told as an end", async (t) => {
  const served = await sseServer(t, ENDPOINT, () => {});
  const { link, closed } = await open(t, served.url);
  const post = link.post(posting(BODY));
  await until(() => served.asked.length === 2, "the message has arrived");
  link.close();
  await assert.rejects(post, { code: "UPSTREAM_RESET" });
  await until(async () => (await served.connections()) === 0, "no connection is left");
  assert.deepEqual(closed, []);
});

test("what a server answers to a POST is read to a bound", async (t) => {
  const { url } = await sseServer(t, ENDPOINT, ({ body }, res) => {
    res.writeHead(400).end("x".repeat(Number(body)));
  });
  const { link } = await open(t, url);
  assert.equal((await link.post(posting(Buffer.from("60000")))).body.length, 60_000);
  const { status, body } = await link.post(posting(Buffer.from("5000000")));
  assert.equal(status, 400);
  assert.ok(body.length <= 65_536);
});

test("a redirect on the same origin is followed for the stream and for a POST, with body and headers", async (t) => {
  const { url, asked } = await sseServer(t, ENDPOINT, ({ url: path }, res) => {
    if (path === "/sse/") res.writeHead(307, { location: "/sse", "content-length": "0" }).end();
    else if (path === "/messages") res.writeHead(308, { location: "/messages/?a=1" }).end("moved");
    else res.writeHead(202).end("Accepted");
  });
  const { link } = await open(t, new URL("/sse/", url));
  assert.equal((await link.post(posting(BODY, ["x-client", "1"]))).status, 202);
  assert.deepEqual(
    asked.map(({ method, url: path, headers, body }) => [method, path, headers["x-own"], body]),
    [
      ["GET", "/sse/", "token of the user", ""],
      ["GET", "/sse", "token of the user", ""],
      ["POST", "/messages", "token of the user", BODY.toString()],
      ["POST", "/messages/?a=1", "token of the user", BODY.toString()],
    ],
  );
  assert.equal(asked.at(-1)?.headers["x-client"], "1");
});

test("a redirect to another origin is not followed, and one in circles comes to an end", async (t) => {
  const other = await serve(t, () => assert.fail("it was called"));
  let location = new URL("/messages", other.url).href;
  const { url, asked } = await sseServer(t, ENDPOINT, (_asked, res) => {
    res.writeHead(307, { location, "content-length": "0" }).end();
  });
  await assert.rejects(open(t, new URL("/else", url)), { code: "UPSTREAM_INVALID" });
  assert.equal(asked.length, 1);
  const { link } = await open(t, url);
  await assert.rejects(link.post(posting(BODY)), { code: "UPSTREAM_INVALID" });
  assert.equal(asked.length, 3);
  location = "/messages";
  await assert.rejects(link.post(posting(BODY)), { code: "UPSTREAM_INVALID" });
  assert.equal(asked.length, 7);
});

test("a POST that nobody has read is known as such though the stream ended before it, and one that was read is not", async (t) => {
  for (const isReset of [true, false]) {
    const { url, streams } = await sseServer(t, ENDPOINT, (_asked, res) => {
      for (const stream of streams) stream.end();
      // As the system does with what a dead process has left unread.
      if (isReset) setImmediate(() => res.socket!.resetAndDestroy());
    });
    const { link, closed } = await open(t, url, { isGone: () => true });
    const seen = peek(BODY);
    assert.ok(seen.kind === "messages");
    const lost = link.post({ body: BODY, messages: seen.messages, headers: [] });
    await assert.rejects(lost, { code: isReset ? "UPSTREAM_REFUSED" : "UPSTREAM_RESET" });
    await until(() => closed.length === 1, "the link is over");
    assert.deepEqual(link.unsent(), isReset ? ["1"] : []);
  }
});

test("what has not gone out when the link is closed is known as such", async (t) => {
  const { url } = await sseServer(t, ENDPOINT, accept);
  const { link } = await open(t, url);
  const seen = peek(BODY);
  assert.ok(seen.kind === "messages");
  const ping = { body: BODY, messages: seen.messages, headers: [] };
  await link.post(ping);
  const late = link.post(ping);
  assert.deepEqual(link.unsent(), ["1"]);
  link.close();
  await assert.rejects(late, { code: "UPSTREAM_RESET" });
  assert.deepEqual(link.unsent(), ["1"]);
});
