import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { HttpRequest, StreamableResponse } from "../../src/http/exchange.ts";
import { closeServer, createHttpServer, listen, stopListening } from "../../src/http/listen.ts";
import { until } from "../helpers/until.ts";

type Serve = (req: HttpRequest, res: StreamableResponse) => void;

interface Rig {
  socket: Socket;
  /** What the client has heard. */
  heard: () => string;
  /** Requests that Node's server has read. */
  byNode: () => number;
  stop: () => Promise<void>;
}

const PATH = "/messages";
const post = (body: string, length = body.length, more = ""): string =>
  `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\n${more}Content-Length: ${length}\r\n\r\n${body}`;
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** A listener whose messages this reader reads, and a connection to it. */
async function rig(t: TestContext, reader: "own" | "node", serve: Serve): Promise<Rig> {
  let byNode = 0;
  const own = { isHot: (_method: string, url: string) => url === PATH, handle: serve };
  const server = createHttpServer(
    (req, res) => {
      byNode += 1;
      serve(req, res);
    },
    reader === "own" ? { own } : {},
  );
  const port = await listen(server, { host: "127.0.0.1", port: 0 });
  t.after(() => closeServer(server));
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  t.after(() => socket.destroy());
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  return { socket, heard: () => text, byNode: () => byNode, stop: () => stopListening(server) };
}

function bodyOf(req: HttpRequest): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    req.takeBody({
      chunk: (bytes) => (text += bytes.toString("latin1")),
      end: () => resolve(text),
      gone: () => resolve("gone"),
    });
  });
}

/** The body of an answer whose chunks have come in full. */
function unchunked(text: string): string {
  let body = "";
  let at = text.indexOf("\r\n\r\n") + 4;
  for (;;) {
    const line = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, line), 16);
    if (size === 0) return body;
    body += text.slice(line + 2, line + 2 + size);
    at = line + 2 + size + 2;
  }
}

const echo: Serve = (req, res) =>
  void bodyOf(req).then((body) => {
    const text = `<${body}>`;
    res.writeHead(200, { "content-length": text.length });
    res.end(text);
  });

for (const reader of ["own", "node"] as const) {
  test(`${reader}: a body comes whole, however it was cut, and the connection is kept`, async (t) => {
    const { socket, heard, byNode } = await rig(t, reader, echo);
    socket.write(post("hello"));
    await until(() => heard().includes("<hello>"), "the first is answered");
    socket.write(post("he", 6));
    socket.write("l");
    socket.write("lo!");
    await until(() => heard().includes("<hello!>"), "the second is answered");
    socket.write(post(""));
    await until(() => heard().includes("<>"), "the third is answered");
    assert.match(heard(), /\r\nconnection: keep-alive\r\nkeep-alive: timeout=65\r\n/i);
    assert.equal(byNode(), reader === "own" ? 0 : 3);
  });

  test(`${reader}: what is sent along with a message is answered behind it`, async (t) => {
    const { socket, heard } = await rig(t, reader, echo);
    socket.write(post("1") + post("2") + post("3"));
    await until(() => heard().includes("<3>"), "the last one is answered");
    assert.match(heard(), /<1>[^]*<2>[^]*<3>/);
  });

  test(`${reader}: what comes while a message is answered is answered behind it`, async (t) => {
    const answers: (() => void)[] = [];
    const serve: Serve = (req, res) => answers.push(() => echo(req, res));
    const { socket, heard } = await rig(t, reader, serve);
    socket.write(post("1"));
    await until(() => answers.length === 1, "the first is there");
    socket.write(post("2"));
    // Node hands on what it reads, and sends its answer later.
    for (let i = 0; i < 2; i++) {
      const answer = await until(() => answers.shift(), "the next is there");
      answer();
      await until(() => heard().includes(`<${i + 1}>`), "it is answered");
    }
  });

  test(`${reader}: another request on the connection is answered as well, and so are messages behind it`, async (t) => {
    const { socket, heard, byNode } = await rig(t, reader, echo);
    socket.write(post("1"));
    await until(() => heard().includes("<1>"), "the first is answered");
    socket.write(GET);
    await until(() => heard().includes("<>"), "the second is answered");
    socket.write(post("3").slice(0, 30));
    socket.write(post("3").slice(30));
    await until(() => heard().includes("<3>"), "the third is answered");
    assert.equal(byNode(), reader === "own" ? 2 : 3);
  });

  test(`${reader}: a stream is asked for without a body, and messages may follow its end`, async (t) => {
    const { socket, heard, byNode } = await rig(t, reader, (req, res) => {
      if (req.method === "POST") return echo(req, res);
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.writePart("one\n");
      setImmediate(() => res.end("two\n"));
    });
    socket.write(GET.replace("/", PATH));
    await until(() => heard().endsWith("0\r\n\r\n"), "the stream is over");
    assert.equal(unchunked(heard()), "one\ntwo\n");
    socket.write(post("1"));
    await until(() => heard().endsWith("<1>"), "the message is answered");
    assert.equal(byNode(), reader === "own" ? 0 : 2);
  });

  test(`${reader}: a client that ends its side of a stream ends the stream`, async (t) => {
    let isOver = false;
    const { socket, heard } = await rig(t, reader, (_req, res) => {
      res.on("close", () => (isOver = true));
      res.writeHead(200, { "content-type": "text/event-stream" });
      res.writePart("one\n");
    });
    socket.write(GET.replace("/", PATH));
    await until(() => heard().includes("one"), "the stream is there");
    const ended = once(socket, "close");
    socket.end();
    await ended;
    await until(() => isOver, "whoever answers hears of it");
  });

  test(`${reader}: an answer without a length goes out in chunks`, async (t) => {
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then(() => {
        res.writeHead(200, { "content-type": "text/event-stream" });
        res.write("one\n");
        res.write(Buffer.from("two\n"));
        res.end("\xe4", "latin1");
      });
    });
    socket.write(post("x"));
    await until(() => heard().endsWith("0\r\n\r\n"), "it is answered");
    assert.equal(unchunked(heard()), "one\ntwo\n\xe4");
  });

  test(`${reader}: parts of a stream go out in their order, small and large ones, at once and later`, async (t) => {
    const large = "L".repeat(100_000);
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then(() => {
        res.writeHead(200, { "content-type": "text/event-stream" });
        res.writePart("1");
        res.writePart(Buffer.from(large));
        process.nextTick(() => res.writePart("4"));
        res.writePart("2");
        res.writePart(Buffer.from("3"));
        setImmediate(() => {
          process.nextTick(() => res.writePart("7"));
          res.writePart("5");
          res.writePart(large);
          res.writePart("6");
          setImmediate(() => res.end());
        });
      });
    });
    socket.write(post("x"));
    await until(() => heard().endsWith("0\r\n\r\n"), "it is answered");
    assert.equal(unchunked(heard()), `1${large}2345${large}67`);
  });

  test(`${reader}: an answer that is sent closes as finished, one whose client leaves does not`, async (t) => {
    const closed: boolean[] = [];
    const { socket, heard } = await rig(t, reader, (req, res) => {
      res.on("close", () => closed.push(res.writableFinished));
      void bodyOf(req).then((body) => body === "stay" && res.end());
    });
    socket.write(post("stay"));
    await until(() => closed.length === 1 && heard() !== "", "the first is over");
    assert.match(heard(), /^HTTP\/1\.1 200 OK\r\n/);
    socket.write(post("leave"));
    socket.destroy();
    await until(() => closed.length === 2, "the second is over");
    assert.deepEqual(closed, [true, false]);
  });

  test(`${reader}: a client that ends within a body is told so, and the reader of the body as well`, async (t) => {
    const bodies: string[] = [];
    const { socket, heard } = await rig(
      t,
      reader,
      (req) => void bodyOf(req).then((body) => bodies.push(body)),
    );
    socket.end(post("cut", 100));
    await until(() => bodies.length === 1 && heard() !== "", "both have heard of it");
    assert.deepEqual(bodies, ["gone"]);
    assert.match(heard(), /^HTTP\/1\.1 400 Bad Request\r\n[^]*"requestId"/);
  });

  test(`${reader}: a refusal that does not wait for the body is heard by a client that is still sending`, async (t) => {
    const { socket, heard } = await rig(t, reader, (_req, res) => {
      res.writeHead(401, { "content-length": 2 });
      res.end("no");
    });
    const ended = once(socket, "close");
    socket.write(post("", 2_000_000));
    await until(() => heard().endsWith("no"), "it has heard the refusal");
    for (let i = 0; i < 20; i++) socket.write("x".repeat(100_000));
    socket.end();
    await ended;
    assert.match(heard(), /^HTTP\/1\.1 401 Unauthorized\r\n/);
  });

  test(`${reader}: what no header can carry throws and sends nothing`, async (t) => {
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then(() => {
        for (const value of ["a\r\nb: c", "\0", "\u0100"])
          assert.throws(() => res.writeHead(200, { "x-a": value }));
        assert.throws(() => res.writeHead(200, { "x a": "b" }));
        res.writeHead(502, { "x-a": "fine\t\xe4", "content-length": 0 });
        res.end();
      });
    });
    socket.write(post("x"));
    await until(() => heard().includes("\r\n\r\n"), "it is answered");
    assert.match(heard(), /^HTTP\/1\.1 502 [^]*x-a: fine\t\xe4\r\n/);
    assert.doesNotMatch(heard(), /b: c/);
  });

  test(`${reader}: whoever writes more than the client takes is told to wait, and when to go on`, async (t) => {
    let drained = false;
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then(() => {
        res.writeHead(200, { "content-type": "text/plain" });
        while (res.write(Buffer.alloc(1_000_000, "x")));
        res.once("drain", () => {
          drained = true;
          res.end();
        });
      });
    });
    socket.pause();
    socket.write(post("x"));
    socket.resume();
    await until(() => heard().endsWith("0\r\n\r\n"), "all has come");
    assert.ok(drained);
  });

  test(`${reader}: the last answer of a listener that stops ends its connection, and idle ones end at once`, async (t) => {
    const answers: (() => void)[] = [];
    const serve: Serve = (req, res) => answers.push(() => echo(req, res));
    const { socket, heard, stop } = await rig(t, reader, serve);
    const ended = once(socket, "end");
    socket.write(post("1"));
    const answer = await until(() => answers.shift(), "the request is there");
    const stopped = stop();
    answer();
    await ended;
    socket.end();
    await stopped;
    assert.match(heard(), /\r\nconnection: close\r\n[^]*<1>/i);
  });
}

for (const reader of ["own", "node"] as const) {
  test(`${reader}: where an answer has no body by its status, nothing of one goes out`, async (t) => {
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then((status) => {
        res.writeHead(Number(status), {});
        res.write("a");
        res.end("b");
      });
    });
    for (const status of ["204", "304"]) {
      socket.write(post(status));
      await until(() => heard().endsWith("\r\n\r\n") && heard().includes(status), "it has come");
    }
    socket.write(post("200"));
    await until(() => heard().endsWith("0\r\n\r\n"), "the last one has come");
    assert.match(heard(), /^HTTP\/1\.1 204 [^]*\r\n\r\nHTTP\/1\.1 304 [^]*\r\n\r\nHTTP\/1\.1 200 /);
  });

  test(`${reader}: what is no status throws and sends nothing`, async (t) => {
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then(() => {
        for (const status of [0, 99, 1000]) assert.throws(() => res.writeHead(status, {}));
        res.writeHead(502, { "content-length": 0 });
        res.end();
      });
    });
    socket.write(post("x"));
    await until(() => heard().includes("\r\n\r\n"), "it is answered");
    assert.match(heard(), /^HTTP\/1\.1 502 /);
  });

  test(`${reader}: an answer that is over does not end the connection of the next one`, async (t) => {
    const answers: StreamableResponse[] = [];
    const { socket, heard } = await rig(t, reader, (req, res) => {
      void bodyOf(req).then(() => answers.push(res));
    });
    socket.write(post("x"));
    const first = await until(() => answers[0], "the first is asked for");
    first.writeHead(200, { "content-length": 1 });
    first.end("1");
    await until(() => heard().endsWith("1") && first.writableFinished, "the first is out");
    socket.write(post("x"));
    const second = await until(() => answers[1], "the second is asked for");
    first.destroy();
    second.writeHead(200, { "content-length": 1 });
    second.end("2");
    await until(() => heard().endsWith("2"), "the second is out");
  });
}

test("own: a message with more fields than clients send is Node's", async (t) => {
  const { socket, heard, byNode } = await rig(t, "own", echo);
  const fields = (count: number): string =>
    Array.from({ length: count }, (_, i) => `x-${i}: y\r\n`).join("");
  socket.write(post("1", 1, fields(62)));
  await until(() => heard().includes("<1>"), "the first is answered");
  assert.equal(byNode(), 0);
  socket.write(post("2", 1, fields(63)));
  await until(() => heard().includes("<2>"), "the second is answered");
  assert.equal(byNode(), 1);
});
