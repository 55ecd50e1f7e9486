import assert from "node:assert/strict";
import { test } from "node:test";
import { peek } from "../../src/mcp/client-body.ts";
import { EnvelopeScanner } from "../../src/mcp/envelope.ts";
import { InFlight } from "../../src/sessions/in-flight.ts";
import { IdleHolds } from "../../src/sessions/idle-holds.ts";
import { releaseHolds, isInUse, newUsage } from "../../src/instances/usage.ts";

function rig() {
  const usage = newUsage();
  const holds = new IdleHolds(usage);
  const inFlight = new InFlight(usage, holds);
  return {
    usage,
    holds,
    send(text: string) {
      const body = Buffer.from(text);
      const seen = peek(body);
      assert.ok(seen.kind === "messages");
      inFlight.sent(seen.messages);
    },
    receive(text: string) {
      const scanner = new EnvelopeScanner();
      const bytes = Buffer.from(text);
      scanner.write(bytes, 0, bytes.length);
      inFlight.received(scanner.messages, bytes.length);
    },
  };
}

const rpc = (id: number, method: string, params: object = {}) =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });
const result = (id: number) => `{"jsonrpc":"2.0","id":${id},"result":{}}`;
const refusal = (id: number) => `{"jsonrpc":"2.0","id":${id},"error":{"code":-32601}}`;

test("a call keeps the child until its answer, a ping never does", () => {
  const it = rig();
  it.send(rpc(1, "ping"));
  assert.equal(isInUse(it.usage), false);
  it.send(rpc(2, "tools/call"));
  assert.equal(isInUse(it.usage), true);
  it.receive(result(2));
  assert.equal(isInUse(it.usage), false);
});

test("a subscription keeps the child until it is taken back", () => {
  const it = rig();
  it.send(rpc(1, "resources/subscribe", { uri: "file:///a" }));
  it.receive(result(1));
  it.send(rpc(2, "resources/subscribe", { uri: "file:///b" }));
  it.receive(result(2));
  it.send(rpc(3, "resources/unsubscribe", { uri: "file:///a" }));
  it.receive(result(3));
  assert.equal(isInUse(it.usage), true);
  const before = it.usage.lastMessageAt!;
  it.send(rpc(4, "resources/unsubscribe", { uri: "file:///b" }));
  it.receive(result(4));
  assert.equal(isInUse(it.usage), false);
  assert.ok(it.usage.lastMessageAt! >= before);
});

test("a subscription is taken back by its URI, however that is written", () => {
  const it = rig();
  it.send(rpc(1, "resources/subscribe", { uri: "file:///a" }));
  it.receive(result(1));
  it.send(
    '{"id":2,"method":"resources/unsubscribe","params":{"u\\u0072i":"file:\\/\\/\\/\\u0061"}}',
  );
  it.receive(result(2));
  assert.equal(isInUse(it.usage), false);
});

test("a subscription that the server refused keeps nothing", () => {
  const it = rig();
  it.send(rpc(1, "resources/subscribe", { uri: "file:///a" }));
  it.receive(refusal(1));
  assert.equal(isInUse(it.usage), false);
});

test("a question of the server keeps the child until the client's answer, its ping does not", () => {
  const it = rig();
  it.receive(rpc(7, "ping"));
  assert.equal(isInUse(it.usage), false);
  it.receive(rpc(8, "elicitation/create"));
  assert.equal(isInUse(it.usage), true);
  it.send(result(9));
  assert.equal(isInUse(it.usage), true);
  it.send(refusal(8));
  assert.equal(isInUse(it.usage), false);
  it.receive(rpc(10, "roots/list"));
  it.receive('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":10}}');
  assert.equal(isInUse(it.usage), false);
});

test("a task keeps the child for as long as it may run", (t) => {
  let now = 1_000;
  t.mock.method(performance, "now", () => now);
  const it = rig();
  it.send(rpc(1, "tools/call", { name: "research", arguments: { task: "x" } }));
  it.receive(result(1));
  assert.equal(isInUse(it.usage), false);
  it.send(rpc(2, "tools/call", { name: "research", task: { ttl: 60_000 } }));
  it.receive(result(2));
  now += 59_999;
  assert.equal(isInUse(it.usage), true);
  now += 1;
  assert.equal(isInUse(it.usage), false);
  it.send('{"id":3,"method":"tools/call","params":{"name":"research","t\\u0061sk":{}}}');
  it.receive(result(3));
  now += 59 * 60_000;
  assert.equal(isInUse(it.usage), true);
});

test("neither a session that is over nor a child that is gone leaves anything that keeps", () => {
  const it = rig();
  const other = new IdleHolds(it.usage);
  it.send(rpc(1, "resources/subscribe", { uri: "file:///a" }));
  it.receive(result(1));
  other.received([{ id: "1", method: "elicitation/create" }]);
  it.holds.clear();
  assert.equal(isInUse(it.usage), true);
  releaseHolds(it.usage);
  assert.equal(isInUse(it.usage), false);
});
