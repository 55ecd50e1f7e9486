import assert from "node:assert/strict";
import { test } from "node:test";
import { peek } from "../../src/mcp/client-body.ts";
import type { ClientMessage } from "../../src/mcp/client-body.ts";
import { EnvelopeScanner } from "../../src/mcp/envelope.ts";
import type { Message } from "../../src/mcp/envelope.ts";
import { InFlight } from "../../src/sessions/in-flight.ts";
import { newUsage } from "../../src/instances/usage.ts";

function messagesOf(body: Buffer): readonly ClientMessage[] {
  const seen = peek(body);
  assert.ok(seen.kind === "messages");
  return seen.messages;
}

/** As an event's or a body's reader finds them. */
function scanned(text: string): readonly Message[] {
  const scanner = new EnvelopeScanner();
  scanner.write(Buffer.from(text), 0, Buffer.byteLength(text));
  return scanner.messages;
}

function rig() {
  const usage = newUsage();
  const inFlight = new InFlight(usage);
  return {
    usage,
    inFlight,
    send: (text: string) => inFlight.sent(messagesOf(Buffer.from(text))),
    receive: (text: string) => inFlight.received(messagesOf(Buffer.from(text)), text.length),
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
  other.sent(messagesOf(body));
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
  assert.deepEqual({ ...usage, answeredBytes: 0 }, newUsage());
  send(request("2"));
  receive(answer("2"));
  assert.ok(Number(usage.lastMessageAt) > 0);
});

test("what was answered counts as asked for, in pieces too; what turns out to be something else does not, whatever was under way", () => {
  const { usage, inFlight, send, receive } = rig();
  const news = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}';
  inFlight.saw(1000);
  receive(news);
  assert.equal(usage.answeredBytes, 0);
  send(request("1"));
  inFlight.saw(1000);
  receive(news);
  receive(answer("7"));
  assert.equal(usage.answeredBytes, 0);
  inFlight.saw(1000);
  receive(answer("1"));
  const whole = 1000 + answer("1").length;
  assert.equal(usage.answeredBytes, whole);
  receive(answer("1"));
  const asked = [{ id: "1", method: "tools/call" }];
  inFlight.sawOfBody(asked, 1000);
  assert.equal(usage.answeredBytes, whole, "nothing was asked any more");
  send(request("1"));
  inFlight.sawOfBody(asked, 1000);
  assert.equal(usage.answeredBytes, whole + 1000);
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
  inFlight.answered([{ id: "3", method: "tools/call" }], [], 0);
  assert.equal(usage.answered, 2);
  assert.equal(usage.inFlight, 0);
});

interface Ended {
  tool: string;
  outcome: string;
  bytesOut: number;
}

/** What becomes of calls of tools, in the order of their ends. */
function watching() {
  const inFlight = new InFlight(newUsage());
  const ended: Ended[] = [];
  const watch = {
    requestId: "life-1",
    failApart() {},
    begin: (tool: string) => ({
      end: (outcome: string, bytesOut: number) => void ended.push({ tool, outcome, bytesOut }),
    }),
  };
  const send = (...bodies: object[]) => {
    for (const body of bodies) {
      const bytes = Buffer.from(JSON.stringify(body));
      inFlight.sent(messagesOf(bytes), watch);
    }
  };
  const outcomes = () => ended.map(({ tool, outcome }) => `${tool} ${outcome}`);
  return { inFlight, ended, outcomes, send };
}

const callOf = (id: number, tool: string) => ({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: { name: tool, arguments: { isError: true, error: "in the arguments" } },
});
const answers = (id: number, rest: object) => JSON.stringify({ jsonrpc: "2.0", id, ...rest });

test("the outcome of a call is what the answer says, and nothing in its text", () => {
  const { inFlight, outcomes, send } = watching();
  const texts: [number, string, object][] = [
    [1, "fine", { result: { content: [{ type: "text", text: '{"isError":true,"error":1}' }] } }],
    [2, "also-fine", { result: { isError: false, content: [], error: "a word of the tool" } }],
    [3, "nested", { result: { structuredContent: { isError: true, error: {} }, content: [] } }],
    [4, "failed", { result: { content: [], isError: true } }],
    [5, "refused", { error: { code: -32602, message: "no such tool" } }],
  ];
  for (const [id, tool, rest] of texts) {
    send(callOf(id, tool));
    inFlight.received(scanned(answers(id, rest)), 1);
  }
  const expected = ["fine ok", "also-fine ok", "nested ok", "failed tool-error", "refused error"];
  assert.deepEqual(outcomes(), expected);
  for (const [id, tool, rest] of texts) {
    send(callOf(id, tool));
    const asked = [{ id: String(id), method: "tools/call" }];
    inFlight.answered(asked, scanned(answers(id, rest)), 1);
    send(callOf(id + 100, "between"));
    inFlight.received([{ id: String(id + 100), method: undefined }], 2);
  }
  assert.deepEqual(
    outcomes().slice(5),
    expected.flatMap((one) => [one, "between ok"]),
  );
});

test("an answer that comes in pieces is counted whole, and its end is not taken for another's", () => {
  const { inFlight, ended, send } = watching();
  send(callOf(1, "long"), callOf(2, "short"));
  inFlight.saw(500);
  inFlight.saw(400);
  inFlight.received([{ id: "1", method: undefined, outcome: "tool-error" }], 100);
  inFlight.received([{ id: "2", method: undefined }], 30);
  assert.deepEqual(ended, [
    { tool: "long", outcome: "tool-error", bytesOut: 1000 },
    { tool: "short", outcome: "ok", bytesOut: 30 },
  ]);
});

test("of the answers in a batch each call has its own", () => {
  const { inFlight, outcomes, send } = watching();
  send(callOf(1, "one"), callOf(2, "two"));
  const batch = `[${answers(2, { result: { isError: true } })},${answers(1, { result: {} })}]`;
  inFlight.received(scanned(batch), batch.length);
  assert.deepEqual(outcomes().toSorted(), ["one ok", "two tool-error"]);
});

test("a call that gets no answer is refused, cancelled or lost, once", () => {
  const { inFlight, outcomes, send } = watching();
  send(callOf(1, "one"), callOf(2, "two"), callOf(3, "three"));
  inFlight.refused([{ id: "1", method: "tools/call" }]);
  const cancelled = { method: "notifications/cancelled", params: { requestId: 2 } };
  send({ jsonrpc: "2.0", ...cancelled });
  inFlight.drain();
  inFlight.received([{ id: "3", method: undefined }], 1);
  assert.deepEqual(outcomes(), ["one refused", "two cancelled", "three lost"]);
});

test("what an earlier generation may have done is not safe to repeat, whatever the next one has read", () => {
  const { inFlight } = rig();
  const carrier = { begin() {}, end() {} };
  const messages = messagesOf(Buffer.from(request("1")));
  inFlight.sent(messages, undefined, carrier);
  const open = inFlight.find("1")!;
  inFlight.lost(open, false);
  inFlight.await(open);
  inFlight.sentAgain(open, carrier);
  inFlight.lost(open, true);
  assert.equal(inFlight.drainUnanswered()[0]?.mayHaveHappened, true);
});

test("a request that waited and was sent on may have happened, one that nobody has read may not", () => {
  const { inFlight } = rig();
  const carrier = { begin() {}, end() {} };
  inFlight.sent(messagesOf(Buffer.from(request("1"))), undefined, carrier);
  inFlight.sent(messagesOf(Buffer.from(request("2"))), undefined, carrier);
  for (const id of ["1", "2"]) {
    const open = inFlight.find(id)!;
    inFlight.lost(open, true);
    inFlight.await(open);
    if (id === "1") inFlight.sentAgain(open, carrier);
  }
  const told = inFlight.drainUnanswered().map(({ mayHaveHappened }) => mayHaveHappened);
  assert.deepEqual(told, [true, false]);
});
