import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { probe } from "../../src/instances/probe.ts";

const STREAM = { "content-type": "text/event-stream; charset=utf-8" };

async function ask(
  t: TestContext,
  transport: "sse" | "http",
  answer: http.RequestListener,
): Promise<string | undefined> {
  const closed: Promise<unknown>[] = [];
  const server = http.createServer((req, res) => {
    closed.push(once(res, "close"));
    answer(req, res);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const url = new URL(`http://127.0.0.1:${port}/sse`);
  const answered = await probe(transport, url, new AbortController().signal);
  // Whatever the answer, the child is not left with a stream of nobody.
  await Promise.all(closed);
  if (answered.kind === "ready") return undefined;
  return answered.kind === "unsure" ? `perhaps, but ${answered.missing}` : answered.missing;
}

test("an sse child is ready with 200, an event stream and an endpoint, however it is cut", async (t) => {
  const text = ": hello\r\nevent: endpoint\r\ndata: /messages?session_id=1\r\n\r\n";
  for (let at = 0; at < text.length; at += 7) {
    const missing = await ask(t, "sse", (req, res) => {
      assert.equal(req.headers.host, `127.0.0.1:${req.socket.localPort}`);
      assert.equal(req.headers.accept, "text/event-stream");
      res.writeHead(200, STREAM);
      res.write(text.slice(0, at));
      setImmediate(() => res.write(text.slice(at)));
    });
    assert.equal(missing, undefined);
  }
});

test("an sse child that answers anything else is not ready, and what is missing is said", async (t) => {
  const cases: [http.RequestListener, string][] = [
    [(_, res) => res.writeHead(404).end(), "GET /sse answered 404"],
    [(_, res) => res.writeHead(200).end("hello"), "GET /sse answered without an event stream"],
    [
      (_, res) => res.writeHead(200, STREAM).end("event: message\ndata: {}\n\n"),
      "GET /sse sent no endpoint event",
    ],
    [
      (_, res) => res.writeHead(200, STREAM).end("event: endpoint\ndata: /messages"),
      "GET /sse sent no endpoint event",
    ],
    [(req) => req.socket.destroy(), "GET /sse: the connection was closed without an answer"],
  ];
  for (const [answer, expected] of cases) assert.equal(await ask(t, "sse", answer), expected);
});

test("an http child is ready with any answer but 502 to 504, also one that opens a stream; 404, 500 and 501 leave it open", async (t) => {
  for (const status of [200, 400, 401, 405, 406, 505])
    assert.equal(await ask(t, "http", (_, res) => res.writeHead(status).end()), undefined);
  assert.equal(
    await ask(t, "http", (_, res) => res.writeHead(200, STREAM).flushHeaders()),
    undefined,
  );
  const answered = (status: number) => ask(t, "http", (_, res) => res.writeHead(status).end());
  for (const status of [502, 503, 504])
    assert.equal(await answered(status), `GET /sse answered ${status}`);
  for (const status of [404, 500, 501])
    assert.equal(await answered(status), `perhaps, but GET /sse answered ${status}`);
});

test("an abort ends the question", async (t) => {
  const server = http.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const controller = new AbortController();
  const asked = probe("sse", new URL(`http://127.0.0.1:${port}/sse`), controller.signal);
  await once(server, "request");
  controller.abort();
  assert.deepEqual(await asked, { kind: "not-ready", missing: "GET /sse: no answer in time" });
});
