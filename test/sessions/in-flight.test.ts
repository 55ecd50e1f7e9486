import assert from "node:assert/strict";
import { test } from "node:test";
import { peek } from "../../src/mcp/envelope.ts";
import type { Message } from "../../src/mcp/envelope.ts";
import { InFlight } from "../../src/sessions/in-flight.ts";
import type { Usage } from "../../src/supervisor/supervisor.ts";

function messagesOf(body: Buffer): readonly Message[] {
  const seen = peek(body);
  assert.ok(seen.kind === "messages");
  return seen.messages;
}

function rig() {
  const usage: Usage = { sessions: 0, inFlight: 0, answered: 0, lastMessageAt: null };
  const inFlight = new InFlight(usage);
  return {
    usage,
    inFlight,
    send: (text: string) => inFlight.sent(messagesOf(Buffer.from(text)), Buffer.from(text)),
    receive: (text: string) => inFlight.received(messagesOf(Buffer.from(text))),
    refuse: (text: string) => inFlight.refused(messagesOf(Buffer.from(text))),
  };
}

const request = (id: string, method = "tools/call") =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}"}`;
const answer = (id: string) => `{"jsonrpc":"2.0","id":${id},"result":{}}`;
const cancel = (id: string) =>
  `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${id}}}`;

test("a request is in flight until its answer comes, by an id of either kind", () => {
  const { usage, send, receive, inFlight } = rig();
  send(request("1"));
  send(request('"1"'));
  assert.equal(usage.inFlight, 2);
  receive(answer("1"));
  assert.equal(usage.inFlight, 1);
  assert.deepEqual(inFlight.drain(), ['"1"']);
  assert.equal(usage.inFlight, 0);
});

test("an answer with an id in another spelling is the answer", () => {
  const { usage, send, receive } = rig();
  send(request('"a\\u0062"'));
  send(request("2.0"));
  receive(answer('"ab"'));
  receive(answer("2"));
  assert.equal(usage.inFlight, 0);
});

test("ids beyond 2^53 that differ in the last digit are two", () => {
  const { usage, send, receive, inFlight } = rig();
  send(request("12345678901234567890"));
  send(request("12345678901234567891"));
  assert.equal(usage.inFlight, 2);
  receive(answer("12345678901234567891"));
  assert.deepEqual(inFlight.drain(), ["12345678901234567890"]);
  assert.equal(usage.inFlight, 0);
});

test("an id that is used twice counts once, and its answer ends it", () => {
  const { usage, send, receive } = rig();
  send(request("1"));
  send(request("1"));
  assert.equal(usage.inFlight, 1);
  receive(answer("1"));
  receive(answer("1"));
  assert.equal(usage.inFlight, 0);
});

test("every request of a batch is in flight, its notifications and answers are not", () => {
  const { usage, send, receive, inFlight } = rig();
  send(`[${request("1")},${request("2")},${answer("9")},${cancel("8")},${request("3")}]`);
  assert.equal(usage.inFlight, 3);
  receive(`[${answer("3")},${answer("1")}]`);
  assert.deepEqual(inFlight.drain(), ["2"]);
});

test("a cancelled request is waited for no longer, in a batch too", () => {
  const { usage, send } = rig();
  for (const id of ["1", '"one"', '"\\u0061"', "12345678901234567890", "-3"]) {
    send(request(id));
    send(cancel(id));
    assert.equal(usage.inFlight, 0, id);
    send(`[${request(id)},${cancel(id)}]`);
    assert.equal(usage.inFlight, 0, id);
  }
});

test("a cancellation of nothing, of something else or without an id changes nothing", () => {
  const { usage, send } = rig();
  send(request("1"));
  for (const id of ["2", '"1"', "null", "{}", "[1]", "true"]) send(cancel(id));
  send('{"jsonrpc":"2.0","method":"notifications/cancelled"}');
  send('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}');
  assert.equal(usage.inFlight, 1);
});

test("what the server refused to take is not in flight", () => {
  const { usage, send, refuse } = rig();
  const batch = `[${request("1")},${request("2")}]`;
  send(batch);
  refuse(batch);
  assert.equal(usage.inFlight, 0);
});

test("the counts of all sessions of an instance add up in its usage", () => {
  const { usage, send, inFlight } = rig();
  const other = new InFlight(usage);
  const body = Buffer.from(request("1"));
  send(request("1"));
  other.sent(messagesOf(body), body);
  assert.equal(usage.inFlight, 2);
  inFlight.drain();
  assert.equal(usage.inFlight, 1);
  other.drain();
  other.drain();
  assert.equal(usage.inFlight, 0);
});

test("an answered request is use of the instance; a ping, a notification and an answer to the server are not", () => {
  const { usage, send, receive } = rig();
  send(request("1", "ping"));
  receive(answer("1"));
  send('{"jsonrpc":"2.0","method":"notifications/initialized"}');
  send(answer("7"));
  assert.deepEqual(usage, { sessions: 0, inFlight: 0, answered: 0, lastMessageAt: null });
  send(request("2"));
  receive(answer("2"));
  assert.ok(Number(usage.lastMessageAt) > 0);
});

test("a request that the server refused was no use of it, one that was cancelled was", () => {
  const { usage, send, refuse } = rig();
  send(request("1"));
  refuse(request("1"));
  assert.equal(usage.lastMessageAt, null);
  send(request("2"));
  send(cancel("2"));
  assert.ok(Number(usage.lastMessageAt) > 0);
  assert.equal(usage.answered, 0);
});

test("calls that were answered are counted, initialize and pings are not", () => {
  const { usage, send, receive, inFlight } = rig();
  send(request("0", "initialize"));
  send(request("1", "ping"));
  send(request("2", "tools/list"));
  assert.equal(usage.inFlight, 2);
  for (const id of ["0", "1", "2", "2"]) receive(answer(id));
  assert.equal(usage.answered, 1);
  send(request("3"));
  inFlight.answered();
  assert.equal(usage.answered, 2);
  assert.equal(usage.inFlight, 0);
});
