import assert from "node:assert/strict";
import { test } from "node:test";
import { LongText } from "../../src/mcp/long-text.ts";
import { SseReader, dataOf, messageEvent, messageEventParts } from "../../src/mcp/sse.ts";
import type { EventPart } from "../../src/mcp/sse.ts";

function read(chunks: Buffer[]): EventPart[] {
  const parts: EventPart[] = [];
  const reader = new SseReader((part) =>
    parts.push({ ...part, bytes: Buffer.from(part.bytes), messages: [...part.messages] }),
  );
  for (const chunk of chunks) reader.push(chunk);
  return parts;
}

const bytesOf = (parts: readonly EventPart[]) =>
  Buffer.concat(parts.map((part) => part.bytes)).toString();
const named = (parts: readonly EventPart[]) =>
  parts.filter((part) => part.name !== "").map((part) => [part.name, dataOf(part.bytes)]);
const ids = (parts: readonly EventPart[]) =>
  parts.flatMap((part) => part.messages.map((message) => message.id));

const lines = [
  ": ping - 2026-11-20",
  "",
  "event: endpoint",
  "data: /message?sessionId=abc",
  "",
  'data: {"jsonrpc":"2.0","id":5,',
  'data:"result":{}}',
  "id: 7",
  "",
  "retry: 100",
  "",
  "event:message",
  'data: {"id":"six","result":1}',
  "",
  "",
];
const ENDS: Record<string, string | string[]> = {
  LF: "\n",
  CRLF: "\r\n",
  CR: "\r",
  mixed: ["\n", "\r\n", "\r"],
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`events with ${name} line ends are found, wherever the stream is split`, () => {
    const text = lines
      .map((line, i) => line + (typeof end === "string" ? end : end[i % end.length]!))
      .join("");
    const whole = Buffer.from(text);
    const splits = [[whole], [...whole].map((byte) => Buffer.from([byte]))];
    for (let cut = 1; cut < whole.length; cut++)
      splits.push([whole.subarray(0, cut), whole.subarray(cut)]);
    for (const chunks of splits) {
      const parts = read(chunks);
      assert.equal(bytesOf(parts), text);
      assert.deepEqual(named(parts), [
        ["endpoint", "/message?sessionId=abc"],
        ["message", '{"id":"six","result":1}'],
      ]);
      assert.deepEqual(ids(parts), ["5", '"six"']);
    }
  });
}

test("the frame of mcp-go, whose lines end in LF and then CRLF, is one endpoint event", () => {
  const parts = read([
    Buffer.from("event: endpoint\ndata: http://127.0.0.1:1/message?sessionId=x\r\n\r\n"),
  ]);
  assert.deepEqual(named(parts), [["endpoint", "http://127.0.0.1:1/message?sessionId=x"]]);
});

test("an event too big to hold passes in pieces and still shows whose answer it is", () => {
  const big = `data: {"result":"${"x".repeat(300_000)}","id":42}\n\n`;
  const chunks: Buffer[] = [];
  for (let at = 0; at < big.length; at += 16_384)
    chunks.push(Buffer.from(big.slice(at, at + 16_384)));
  const parts = read(chunks);
  assert.equal(bytesOf(parts), big);
  assert.ok(parts.length > 2);
  assert.deepEqual(
    parts.map((part) => part.isLast),
    [...parts.slice(1).map(() => false), true],
  );
  assert.deepEqual(ids(parts), ["42"]);
});

test("an event too big to hold is never taken for an endpoint", () => {
  const parts = read([
    Buffer.from(`event: endpoint\ndata: /${"x".repeat(100_000)}`),
    Buffer.from("\n\n"),
  ]);
  assert.equal(parts.at(-1)?.name, "");
});

test("an event that the stream ends in the middle of is not given out", () => {
  assert.deepEqual(read([Buffer.from('data: {"id":1,"result":{}}\n')]), []);
});

test("a message becomes one event of one line, whatever line breaks stand between its tokens", () => {
  const json = '{\r\n"id":1,\n"result":{"text":"a\\nб"}\r}';
  const event = messageEvent(Buffer.from(json));
  assert.equal(event.toString(), `event: message\ndata: ${json.replaceAll(/[\r\n]/g, " ")}\n\n`);
  assert.deepEqual(JSON.parse(dataOf(event)), JSON.parse(json));
});

test("what clients take for a line end is written as an escape, wherever a long message is cut", () => {
  const said = "a\u2028b\u2029\u2029c\u0085 \u00e9\u2026\u20ac";
  const json = Buffer.from(JSON.stringify({ said }));
  const written = messageEvent(json).toString();
  assert.doesNotMatch(written, /[\u2028\u2029\u0085]/);
  assert.deepEqual(JSON.parse(written.slice(21, -2)), { said });
  for (let cut = 0; cut <= json.length; cut++) {
    const long = new LongText([json.subarray(0, cut), json.subarray(cut)]);
    assert.equal(Buffer.concat([...messageEventParts(long)]).toString(), written, `cut at ${cut}`);
  }
});

test("ids are taken out wherever the stream is split, and the last of them is known", () => {
  const sent = [
    "id: 1",
    "data: ",
    "",
    "event: message",
    'id:two"2"',
    'data: {"id":5,"result":{}}',
    "",
    "id",
    ": i",
    "i: no id",
    "identity: none",
    "retry: 5",
    "",
    'data: {"id":6,"result":{}}',
    "id: last",
    "",
    "id: 9",
    "",
  ];
  const isId = (line: string): boolean => /^id(?::|$)/.test(line);
  // A CR before what is taken out and an LF behind it would become one end.
  const ends = { ...ENDS, mixed: ["\n", "\r\n"] };
  for (const [name, end] of Object.entries(ends)) {
    const endOf = (i: number): string => (typeof end === "string" ? end : end[i % end.length]!);
    const text = sent.map((line, i) => line + endOf(i)).join("");
    const left = sent.map((line, i) => (isId(line) ? "" : line + endOf(i))).join("");
    const whole = Buffer.from(text);
    const splits = [[whole], [...whole].map((byte) => Buffer.from([byte]))];
    for (let cut = 1; cut < whole.length; cut++)
      splits.push([whole.subarray(0, cut), whole.subarray(cut)]);
    for (const chunks of splits) {
      const parts: EventPart[] = [];
      const take = ({ bytes, messages, ...part }: EventPart) =>
        parts.push({ ...part, bytes: Buffer.from(bytes), messages: [...messages] });
      const reader = new SseReader(take, false, true);
      for (const chunk of chunks) reader.push(chunk);
      assert.equal(bytesOf(parts), left, `${name} ${chunks.length} ${chunks[0]!.length}`);
      assert.deepEqual(ids(parts), ["5", "6"]);
      assert.equal(parts.filter(({ hasData }) => hasData).length, 3);
      assert.equal(reader.lastId, "9");
    }
  }
});
