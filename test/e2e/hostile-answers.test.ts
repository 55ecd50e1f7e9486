import assert from "node:assert/strict";
import { test } from "node:test";
import { startForAlice } from "../helpers/alice.ts";
import { call, fixture, initialize, modernCall } from "../helpers/fixtures.ts";
import type { EventStream } from "../helpers/raw-http.ts";
import { ask } from "../helpers/raw-http.ts";
import { serve } from "../helpers/serve.ts";
import { say, startWithNeighbour } from "../helpers/says-bytes.ts";
import { until } from "../helpers/until.ts";

const CONTROLS = ["\r", "\n", "\0", "\x1b", "\x7f", "\x01"];
const FIELDS = ["mcp-note", "content-type", "cache-control", "retry-after", "x-dropped-here"];

/** Heads of answers that are well but for one control character in a value. */
const HEADS = FIELDS.flatMap((field, nth) =>
  CONTROLS.map((char, i) => {
    const type = (nth + i) % 2 === 0 ? "application/json" : "text/event-stream";
    const other = field === "content-type" ? "" : `Content-Type: ${type}\r\n`;
    const value = field === "content-type" ? `${type};a${char}b` : `a${char}b`;
    return `HTTP/1.1 200 OK\r\n${other}${field}: ${value}\r\nContent-Length: 2\r\n\r\n{}`;
  }),
);

/** An SSE client is told where it listens. */
async function refused(stream: EventStream, id: string): Promise<void> {
  const told = await until(
    () => stream.messages().find((message) => message.id === id),
    `${id} is answered`,
  );
  assert.equal(told.error?.data?.type, "UPSTREAM_INVALID", id);
}

test("a control character in a header of a server's answer is a refusal of that answer alone", async (t) => {
  const rig = await startWithNeighbour(t);
  const session = await rig.http("web");
  const overMcp = async (id: string, body: string): Promise<void> => {
    const answer = await rig.post("/u/alice/web/mcp", body, session);
    assert.equal(answer.status, 502, answer.body);
    const { error } = JSON.parse(answer.body) as { error: { data: { type: string } } };
    assert.equal(error.data.type, "UPSTREAM_INVALID", id);
  };
  const { stream, endpoint } = await rig.sse("events");
  for (const [i, head] of HEADS.entries()) {
    await overMcp(JSON.stringify(head), say(`http ${i}`, head));
    assert.equal((await rig.post(endpoint, say(`sse ${i}`, head))).status, 202);
    await refused(stream, `sse ${i}`);
  }
  // Over bridges the answer comes where the session listens.
  const bridged = await rig.sse("web");
  for (const [i, head] of HEADS.slice(0, 4).entries()) {
    assert.equal((await rig.post(bridged.endpoint, say(`bridged ${i}`, head))).status, 202);
    await refused(bridged.stream, `bridged ${i}`);
    // The link of the session is over with it; the next one is a new session.
    bridged.stream.close();
    Object.assign(bridged, await rig.sse("web"));
  }
  await rig.neighbour();
  assert.equal(stream.isEnded, false);
  process.kill(rig.daemon.pid, 0);
});

test("so it is for a request of 2026-07-28, which has no session", async (t) => {
  const rig = await startWithNeighbour(t);
  for (const [i, head] of HEADS.entries()) {
    const bytes = Buffer.from(head, "latin1").toString("base64");
    const asked = modernCall(rig.auth, `modern ${i}`, { name: "say", arguments: { bytes } });
    const { status, body } = await ask(rig.daemon.port, asked);
    assert.equal(status, 502, body);
    assert.match(body, /"type":"UPSTREAM_INVALID"/);
  }
  await rig.neighbour();
  process.kill(rig.daemon.pid, 0);
});

test("a control character in the head of a server's own stream is a refusal of that session alone", async (t) => {
  const { url, server } = await serve(t, () => {});
  server.removeAllListeners("request").on("request", ({ socket }) => {
    const at = CONTROLS[(streams += 1) % CONTROLS.length]!;
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: a${at}b\r\n\r\n`;
    socket.write(Buffer.from(`${head}event: endpoint\ndata: /messages\n\n`, "latin1"));
  });
  let streams = 0;
  const rig = await startForAlice(t, { far: { url: `${url.origin}/sse` } });
  for (let i = 0; i < CONTROLS.length; i++) {
    const bridged = await rig.post("/u/alice/far/mcp", initialize());
    assert.equal(bridged.status, 502, bridged.body);
    assert.match(bridged.body, /"type":"UPSTREAM_INVALID"/);
    const stream = await rig.stream("/u/alice/far/sse");
    const endpoint = await until(() => stream.endpoint, "the endpoint has come");
    assert.equal((await rig.post(endpoint, initialize("hello"))).status, 202);
    await refused(stream, "hello");
    stream.close();
  }
  assert.equal(streams, 2 * CONTROLS.length);
  process.kill(rig.daemon.pid, 0);
});

test("bytes beyond ASCII in a header pass as they are", async (t) => {
  const rig = await startWithNeighbour(t);
  const session = await rig.http("web");
  const value = Buffer.from("\xa0caf\xe9\x80", "latin1");
  const head = Buffer.concat([
    Buffer.from("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Note: "),
    value,
    Buffer.from("\r\nContent-Length: 2\r\n\r\n{}"),
  ]);
  const answer = await rig.post("/u/alice/web/mcp", say("obs", head), session);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["mcp-note"], value.toString("latin1"));
});

test("a connection is used again only where its server gives it the time", async (t) => {
  const rig = await startForAlice(t, {
    hasty: fixture("http", "says-bytes", "--idle-seconds", "1"),
    patient: fixture("http", "says-bytes", "--idle-seconds", "60"),
  });
  const grownBy = async (server: string): Promise<number> => {
    const session = await rig.http(server);
    const count = async (): Promise<number> => {
      const body = call("count", "connections");
      const answer = await rig.post(`/u/alice/${server}/mcp`, body, session);
      return Number(/"text":"(\d+)"/.exec(answer.body)![1]);
    };
    const before = await count();
    await count();
    await count();
    return (await count()) - before;
  };
  assert.equal(await grownBy("hasty"), 3);
  assert.equal(await grownBy("patient"), 0);
});
