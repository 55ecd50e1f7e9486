import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { onContained } from "../../src/containment.ts";
import { OwnReader } from "../../src/http/own-reader/reader.ts";
import type { OwnReaderOptions, ReaderListener } from "../../src/http/own-reader/reader.ts";
import { until } from "../helpers/until.ts";

const NEVER = 1e9;
const CUT = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";

/** A connection to a reader that answers so, with a listener of these ways. */
async function connected(
  t: TestContext,
  handle: OwnReaderOptions["handle"],
  more: Partial<ReaderListener>,
): Promise<Socket> {
  const limits = { firstMs: NEVER, idleMs: NEVER, closingMs: NEVER, lingerMs: NEVER };
  const ways = {
    limits,
    sweepMs: 1,
    isListening: true,
    handOver: assert.fail,
    refuse: assert.fail,
  };
  const reader = new OwnReader({ isHot: () => true, handle }, { ...ways, ...more });
  const server = createServer({ allowHalfOpen: true }, reader.accept).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.on("error", () => undefined).resume();
  t.after(() => {
    socket.destroy();
    reader.closeAll();
    reader.stop();
    server.close();
  });
  return socket;
}

const NOTHING = { chunk: () => undefined, end: () => undefined };

/** Resolves at the end of the connection, broken or not. */
const ended = (socket: Socket): Promise<void> =>
  new Promise((resolve) => void socket.once("close", () => resolve()));

test("a client that goes on and on with a body that nobody wants is ended some time after its answer", async (t) => {
  const limits = { firstMs: NEVER, idleMs: NEVER, closingMs: NEVER, lingerMs: 20 };
  const refuse: OwnReaderOptions["handle"] = (_req, res) => {
    res.writeHead(401, { "content-length": 0 });
    res.end();
  };
  const socket = await connected(t, refuse, { limits });
  const over = ended(socket);
  socket.write(CUT);
  const dripping = setInterval(() => socket.write("x"), 1);
  t.after(() => clearInterval(dripping));
  await over;
});

test("what is thrown while a connection is refused, or ends, costs it alone", async (t) => {
  const thrown: string[] = [];
  onContained(({ failure }) => thrown.push((failure.cause as Error).message));
  let taken = 0;
  const take: OwnReaderOptions["handle"] = (req) => {
    taken += 1;
    const gone = () => {
      throw new Error("gone");
    };
    req.takeBody({ ...NOTHING, gone });
  };
  const left = await connected(t, take, {});
  left.write(CUT);
  await until(() => taken === 1, "the first request is there");
  left.destroy();
  await until(() => thrown.length === 1, "its reader has thrown");
  const limits = { firstMs: 1, idleMs: NEVER, closingMs: NEVER, lingerMs: NEVER };
  const refuse = () => {
    throw new Error("refused");
  };
  await ended(await connected(t, take, { limits, refuse }));
  const cut = await connected(t, take, {});
  const over = ended(cut);
  cut.write(CUT);
  await until(() => taken === 2, "the second request is there");
  cut.end();
  await over;
  assert.deepEqual(thrown, ["gone", "refused", "gone"]);
});
