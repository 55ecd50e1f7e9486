import assert from "node:assert/strict";
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { fstatSync, writeFileSync } from "node:fs";
import { ServerResponse, createServer as createHttpServer } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import {
  answerOn,
  descriptorOf,
  handleOf,
  sendWithHandle,
  setKeptAlive,
  socketOn,
  takePipes,
} from "../../src/platform/node-inside.ts";
import type { Handle } from "../../src/platform/node-inside.ts";
import { temporaryFolder } from "../helpers/temporary-folder.ts";

async function listening<S extends Server>(t: TestContext, server: S): Promise<S> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => void server.close());
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

test("a socket has a descriptor until it is closed, and so has a server that listens", async (t) => {
  const server = await listening(t, createServer());
  assert.ok(fstatSync(handleOf(server).fd).isSocket());
  const accepted = once(server, "connection");
  const socket = connect(portOf(server), "127.0.0.1");
  await once(socket, "connect");
  assert.ok(fstatSync(descriptorOf(socket)!).isSocket());
  socket.destroy();
  await once(socket, "close");
  assert.equal(descriptorOf(socket), undefined);
  ((await accepted)[0] as Socket).destroy();
});

test("pipes that are taken from a child are not closed at its end, and give what it wrote", async () => {
  const child = spawn("sh", ["-c", "echo said; exit 3"], { stdio: ["ignore", "pipe", "ignore"] });
  const [, stdout] = takePipes(child);
  assert.equal(child.stdout, null);
  assert.deepEqual(await once(child, "exit"), [3, null]);
  assert.equal(await text(stdout as Readable), "said\n");
});

test("a bare handle goes with a message to a forked process, and another comes back", async (t) => {
  const program = join(temporaryFolder(t), "program.mjs");
  const inside = JSON.stringify(new URL("../../src/platform/node-inside.ts", import.meta.url).href);
  writeFileSync(
    program,
    `import { spawn } from "node:child_process";
     import { handleOf, sendWithHandle, takePipes } from ${inside};
     process.on("message", (message, handle) => {
       if (message.is === "done") return process.disconnect();
       const { fd } = handle;
       // The listening socket, as a child has it that knows nothing of Node.
       const child = spawn("sh", ["-c", "readlink /proc/self/fd/3"], { stdio: ["ignore", "pipe", "ignore", fd] });
       const [, stdout] = takePipes(child);
       const pipe = handleOf(stdout);
       pipe.readStop();
       sendWithHandle(process, { is: "pipe" }, pipe);
     });`,
  );
  const server = await listening(t, createServer());
  const forked = fork(program, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  sendWithHandle(forked, { is: "entrance" }, handleOf(server));
  const [message, handle] = (await once(forked, "message")) as [unknown, Handle];
  assert.deepEqual(message, { is: "pipe" });
  const reader = socketOn(handle, { readable: true, writable: false });
  forked.send({ is: "done" });
  assert.match(await text(reader as Readable), /^socket:\[\d+\]\n$/);
  if (forked.exitCode === null) await once(forked, "exit");
});

test("the answer under way is known when the rest of its request cannot be read", async (t) => {
  const http = createHttpServer((req, res) => {
    req.resume();
    res.writeHead(200).write("begun");
  });
  const seen = new Promise((resolve) => {
    http.on("clientError", (_error, socket) => {
      resolve(answerOn(socket));
      socket.destroy();
    });
  });
  const answer = once(http, "request").then(([, res]) => res as ServerResponse);
  const server = await listening(t, http);
  const socket = connect(portOf(server), "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
  await once(socket, "data");
  socket.write("no chunk\r\n");
  assert.equal(await seen, await answer);
  assert.ok((await answer).headersSent);
  socket.destroy();
});

test("a connection that is not kept alive ends with its answer, which says so", async (t) => {
  const server = await listening(
    t,
    createHttpServer((_req, res) => {
      setKeptAlive(res, false);
      res.end("last");
    }),
  );
  const socket = connect(portOf(server), "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.match(await text(socket), /\r\nconnection: close\r\n[^]*last$/i);
});

test("a head that nobody wrote goes out by the class's own writeHead", async (t) => {
  class Marked<Request extends IncomingMessage> extends ServerResponse<Request> {
    override writeHead(status: number): this {
      return super.writeHead(status, { "x-marked": "1" });
    }
  }
  const options = { ServerResponse: Marked };
  const server = await listening(
    t,
    createHttpServer(options, (_req, res) => res.end()),
  );
  const socket = connect(portOf(server), "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
  assert.match(await text(socket), /\r\nx-marked: 1\r\n/);
});
