import assert from "node:assert/strict";
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { test } from "node:test";
import type { BodyRequest } from "../../src/platform/body-request.ts";
import { closeServer, createHttpServer } from "../../src/http/listen.ts";
import { until } from "../helpers/until.ts";

/** A server that answers with what it found, and the client's end of one connection to it. */
async function rig(
  t: TestContext,
  serve: (req: BodyRequest, res: ServerResponse) => Promise<void>,
): Promise<{ socket: Socket; answers: () => string }> {
  const server = createHttpServer((req, res) => void serve(req, res));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => closeServer(server));
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  await once(socket, "connect");
  t.after(() => socket.destroy());
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => {});
  return { socket, answers: () => text };
}

function whole(req: BodyRequest): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    req.takeBody({
      chunk: (bytes) => (text += bytes.toString("latin1")),
      end: () => resolve(text),
      gone: () => resolve("gone"),
    });
  });
}

async function echo(req: BodyRequest, res: ServerResponse): Promise<void> {
  res.end(`<${await whole(req)}>`);
}

const head = (length: number) => `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`;

test("a body comes whole, however it was cut", async (t) => {
  const { socket, answers } = await rig(t, echo);
  socket.write(`${head(5)}hello`);
  await until(() => answers().includes("<hello>"), "the first answer has come");
  socket.write(`${head(6)}he`);
  socket.write("l");
  socket.write("lo!");
  await until(() => answers().includes("<hello!>"), "the second answer has come");
  socket.write(
    "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
  );
  await until(() => answers().includes("<abc>"), "the third answer has come");
  socket.write(head(0));
  await until(() => answers().includes("<>"), "the fourth answer has come");
});

test("requests that come at once are answered in turn", async (t) => {
  const { socket, answers } = await rig(t, echo);
  socket.write(`${head(1)}1${head(1)}2${head(1)}3`);
  await until(() => answers().includes("<3>"), "the last answer has come");
  assert.match(answers(), /<1>[^]*<2>[^]*<3>/);
});

test("a body that came before anybody asked for it is there all the same", async (t) => {
  const { socket, answers } = await rig(t, async (req, res) => {
    await until(() => req.complete, "the request is whole");
    await echo(req, res);
  });
  socket.write(`${head(5)}hello`);
  await until(() => answers().includes("<hello>"), "the first answer has come");
  socket.write(head(0));
  await until(() => answers().includes("<>"), "the second answer has come");
});

test("what comes behind an early answer is still seen, and the connection goes on", async (t) => {
  let seen = 0;
  const { socket, answers } = await rig(t, async (req, res) => {
    req.takeBody({ chunk: (bytes) => (seen += bytes.length), end() {}, gone() {} });
    res.end("<early>");
  });
  socket.write(head(2000));
  await until(() => answers().includes("<early>"), "the answer has come");
  for (let i = 0; i < 2; i++) socket.write("x".repeat(1000));
  await until(() => seen === 2000, "the body was seen");
  socket.write(`${head(2)}ok`);
  await until(() => answers().split("<early>").length === 3, "the next request is answered");
});

test("a client that waits for leave to send its body gets it when somebody takes the body", async (t) => {
  let take: (() => void) | undefined;
  const { socket, answers } = await rig(t, async (req, res) => {
    await new Promise<void>((resolve) => (take = resolve));
    await echo(req, res);
  });
  const [start, end] = head(5).split("\r\n\r\n");
  socket.write(`${start}\r\nexpect: 100-continue\r\n\r\n${end}`);
  await until(() => take !== undefined, "the request is there");
  assert.equal(answers(), "");
  take!();
  await until(() => answers().startsWith("HTTP/1.1 100 "), "leave was given");
  socket.write("hello");
  await until(() => answers().includes("<hello>"), "the answer has come");
});

test("a client that leaves before its body is whole is told apart from an empty body", async (t) => {
  const bodies: string[] = [];
  const { socket } = await rig(t, async (req) => void bodies.push(await whole(req)));
  socket.write(`${head(5)}he`);
  socket.end();
  await until(() => bodies.length === 1, "the body is over");
  assert.deepEqual(bodies, ["gone"]);
});

test("where WebSockets are taken, a request that offers another protocol is one like any other, body and all", async (t) => {
  const server = createHttpServer(
    (req, res) => void (req.tunnel === undefined ? echo(req, res) : res.end("a tunnel")),
    { takesUpgrades: true },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => closeServer(server));
  const say = async (text: string, until_: string) => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    t.after(() => socket.destroy());
    let heard = "";
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString("latin1")));
    socket.write(text);
    await until(() => heard.includes(until_), until_);
    return { socket, heard: () => heard };
  };
  const offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AA\r\n";
  const post = `POST / HTTP/1.1\r\nhost: a\r\n${offer}content-length: 5\r\n\r\nhello`;
  const { socket, heard } = await say(post, "<hello>");
  socket.write(`${head(3)}two`);
  await until(() => heard().includes("<two>"), "the connection goes on");
  const ask = (method: string) =>
    `${method} / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n`;
  await say(`${ask("POST")}content-length: 2\r\n\r\nok`, "<ok>");
  const tunnel = await say(`${ask("GET")}\r\n`, "a tunnel");
  await until(() => tunnel.socket.destroyed, "the connection ends with the answer");
  assert.match(tunnel.heard(), /^HTTP\/1\.1 200 /);
  await say("CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n", "405");
});
