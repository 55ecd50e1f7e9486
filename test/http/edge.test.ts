import assert from "node:assert/strict";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { Edge } from "../../src/http/edge.ts";
import { closeServer, createHttpServer } from "../../src/http/listen.ts";
import { until } from "../helpers/until.ts";

interface Rig {
  /** A client that asks for `/`, and the daemon's end of the answer. */
  visit: () => Promise<{ socket: Socket; res: ServerResponse }>;
  /** The daemon's end of the next answer. */
  next: () => Promise<ServerResponse>;
}

async function rig(t: TestContext, sweepMs: number, unreadMs: number): Promise<Rig> {
  const edge = new Edge([], () => undefined, { sweepMs, unreadMs });
  const opened: ServerResponse[] = [];
  const server = createHttpServer((_req, res) => opened.push(res), { edge });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => closeServer(server));
  const next = () => until(() => opened.shift(), "the request is there");
  return {
    next,
    visit: async () => {
      const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
      socket.on("error", () => undefined);
      t.after(() => socket.destroy());
      socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
      return { socket, res: await next() };
    },
  };
}

const LARGE = Buffer.alloc(16 * 1024 * 1024, "x");

test("a client that takes nothing of its answer is ended; one that is told nothing, or takes it late, is not", async (t) => {
  const { visit } = await rig(t, 25, 300);
  const [deaf, silent, late, half] = [await visit(), await visit(), await visit(), await visit()];
  for (const { socket } of [deaf, half, late]) socket.pause();
  silent.res.writeHead(200).flushHeaders();
  deaf.res.end(LARGE);
  half.res.write(LARGE);
  late.res.write(LARGE);
  let taken = 0;
  late.socket.on("data", (chunk: Buffer) => (taken += chunk.length));
  late.socket.resume();
  await until(() => deaf.res.destroyed && half.res.destroyed, "those that do not read are ended");
  await until(() => taken > LARGE.length, "the other has read it all");
  assert.equal(late.res.destroyed, false);
  // As long again without a word, and neither is silence taken for deafness after all was read.
  const other = await visit();
  other.socket.pause();
  other.res.end(LARGE);
  await until(() => other.res.destroyed, "as long again has passed");
  assert.equal(silent.res.destroyed, false);
  assert.equal(late.res.destroyed, false);
  late.res.end("end");
  await until(() => taken > LARGE.length + 3, "it is answered to the end");
});

test("a connection goes on for the next request after its answer was taken late", async (t) => {
  const { visit, next } = await rig(t, 5, 30_000);
  const { socket, res } = await visit();
  socket.pause();
  res.end(LARGE);
  const socketOfServer = res.socket;
  await until(() => socketOfServer?.timeout === 30_000, "it was seen not to read");
  let text = "";
  socket.on("data", (chunk: Buffer) => (text = (text + chunk.toString("latin1")).slice(-200)));
  socket.resume();
  await until(() => res.writableFinished, "all of it is taken");
  socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
  const again = await next();
  assert.equal(again.socket, socketOfServer);
  again.end("over");
  await until(() => text.endsWith("over"), "the second answer has come");
});

test("an address that guesses keys or invites is told to wait, and what is right passes all the same", () => {
  const edge = new Edge([], () => undefined);
  const socket = { remoteAddress: "203.0.113.7", on: () => socket, once: () => socket };
  const req = { socket, headers: {} } as unknown as IncomingMessage;
  const guess = (code: "KEY_INVALID" | "INVITE_INVALID" | "KEY_MISSING") => {
    try {
      edge.admit(req, () => {
        throw new SupervisorError(code, "wrong");
      });
    } catch (error) {
      return (error as SupervisorError).code;
    }
    return "";
  };
  for (let i = 0; i < 5; i++)
    assert.deepEqual(
      [guess("INVITE_INVALID"), guess("KEY_INVALID"), guess("KEY_MISSING")],
      ["INVITE_INVALID", "KEY_INVALID", "KEY_MISSING"],
    );
  for (const code of ["INVITE_INVALID", "KEY_INVALID"] as const)
    assert.equal(guess(code), "TOO_MANY_FAILURES");
  assert.equal(guess("KEY_MISSING"), "KEY_MISSING");
  assert.equal(
    edge.admit(req, () => "ada"),
    "ada",
  );
});
