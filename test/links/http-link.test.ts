import assert from "node:assert/strict";
import type { Server, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { peek } from "../../src/mcp/client-body.ts";
import { HttpLink } from "../../src/links/http-link.ts";
import { HttpClient } from "../../src/links/http1/client.ts";
import { call, initialize, rpc } from "../helpers/fixtures.ts";
import { serve } from "../helpers/serve.ts";
import { targetAt } from "../helpers/target.ts";
import { until } from "../helpers/until.ts";

interface Json {
  id?: unknown;
  method?: string;
  params?: { requestId?: unknown };
  result?: unknown;
  error?: { code: number; message: string };
}

interface Rig {
  send: (body: string) => Promise<void>;
  /** What the server got, and its answer, which the test gives. */
  got: { message: Json; res: ServerResponse }[];
  received: Json[];
  closed: unknown[];
  /** Ids of what has not gone out. */
  unsent: () => readonly string[];
  server: Server;
  /** The server's process ends. */
  end: () => void;
}

async function rig(t: TestContext): Promise<Rig> {
  const got: Rig["got"] = [];
  const served = await serve(t, (req, res) => {
    void text(req).then((body) => got.push({ message: JSON.parse(body) as Json, res }));
  });
  const url = new URL("/mcp", served.url);
  const client = new HttpClient(url, false);
  t.after(() => client.close());
  const received: Json[] = [];
  const closed: unknown[] = [];
  const link = new HttpLink(
    { client, target: targetAt(url) },
    {
      askable: new Set(),
      listener: {
        onMessage: (raw) => void received.push(JSON.parse((raw as Buffer).toString()) as Json),
        onDropped: (id) => void received.push({ dropped: id } as unknown as Json),
      },
      onClosed: (error) => void closed.push(error),
    },
  );
  t.after(() => link.close());
  const send = async (body: string): Promise<void> => {
    const raw = Buffer.from(body);
    const seen = peek(raw);
    assert.ok(seen.kind === "messages");
    await link.post({ body: raw, messages: seen.messages, headers: [] });
  };
  const end = (): void => link.abandon(new SupervisorError("UPSTREAM_RESET", "the child ended"));
  const unsent = (): readonly string[] => link.unsent();
  return { send, got, received, closed, unsent, server: served.server, end };
}

const answer = (res: ServerResponse, body: object, status = 200): void =>
  void res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
const cancel = (requestId: number): string =>
  JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } });

test("a call that is answered when it is done holds back no other message", async (t) => {
  const { send, got, received } = await rig(t);
  await send(call(1, "slow"));
  const first = await until(() => got[0], "the call is there");
  const second = send(rpc(2, "ping"));
  answer((await until(() => got[1], "the ping is there")).res, { id: 2, result: {} });
  await second;
  answer(first.res, { id: 1, result: { is: "late" } });
  await until(() => received.length === 2, "both are answered");
  assert.deepEqual(
    received.map(({ id }) => id),
    [2, 1],
  );
});

test("who begins a session is told that it was refused, who calls later gets the refusal as an answer", async (t) => {
  const { send, got, received } = await rig(t);
  const beginning = send(initialize());
  answer((await until(() => got[0], "it is asked")).res, {}, 500);
  await assert.rejects(beginning, { code: "UPSTREAM_INVALID" });
  assert.equal(received.length, 0);
  await send(call(2, "bad"));
  answer((await until(() => got[1], "the call is there")).res, {}, 500);
  await until(() => received.length === 1, "the refusal is told");
  assert.equal(received[0]?.id, 2);
  assert.match(received[0]?.error?.message ?? "", /answered the message with 500/);
});

test("a cancelled call is heard of no more, and its connection is closed", async (t) => {
  const { send, got, received } = await rig(t);
  await send(call(1, "streams"));
  const { res } = await until(() => got[0], "the call is there");
  res.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
  let isClosed = false;
  res.once("close", () => (isClosed = true));
  const cancelling = send(cancel(1));
  const cancelled = await until(() => got[1], "the cancellation is there");
  assert.equal(cancelled.message.params?.requestId, 1);
  res.write('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n');
  res.write('data: {"jsonrpc":"2.0","method":"after-it"}\n\n');
  await until(() => received.some(({ method }) => method === "after-it"), "its answer has come");
  cancelled.res.writeHead(202).end();
  await cancelling;
  await until(() => isClosed, "nobody listens to it");
  assert.equal(received.length, 1);
});

test("a server that ends while it is asked to initialize leaves nobody waiting", async (t) => {
  const { send, got, closed, end } = await rig(t);
  const beginning = send(initialize());
  await until(() => got.length === 1, "it is asked");
  end();
  await assert.rejects(beginning, { code: "UPSTREAM_RESET" });
  assert.deepEqual(closed, []);
});

test("what had not gone out when the server ended is told apart from what had", async (t) => {
  const { send, got, unsent, end } = await rig(t);
  await send(call(1, "slow"));
  await until(() => got[0], "the call is there");
  const late = send(call(2, "late"));
  assert.deepEqual(unsent(), ["2"]);
  end();
  await assert.rejects(late, { code: "UPSTREAM_RESET" });
  assert.deepEqual(unsent(), ["2"]);
});

test("a call that the server refuses a connection for has not gone out", async (t) => {
  const { send, closed, unsent, server } = await rig(t);
  server.close();
  await assert.rejects(send(call(1, "late")), { code: "UPSTREAM_REFUSED" });
  assert.deepEqual([unsent(), closed.length], [["1"], 1]);
});
