import assert from "node:assert/strict";
import { test } from "node:test";
import {
  LongPeek,
  MAX_BATCH,
  SMALL_BODY_BYTES,
  ownMessage,
  peek,
} from "../../src/mcp/client-body.ts";
import type { Peek } from "../../src/mcp/client-body.ts";
import { JsonWalk } from "../../src/mcp/json-walk.ts";
import { textAt } from "../../src/mcp/json-span.ts";

const read = (text: string) => peek(Buffer.from(text));
const isJson = (json: Buffer, slice = json.length) => {
  const walk = new JsonWalk(json, {}, Infinity);
  for (;;) {
    const end = walk.advance(Math.max(1, slice));
    if (end !== undefined) return end === "json";
  }
};
const parses = (json: Buffer) => {
  try {
    JSON.parse(json.toString("utf8"));
    return true;
  } catch {
    return false;
  }
};

/** JSON of every kind, whose mutations below are mostly none. */
const SEEDS = [
  '{"a":[1,-0,1.5e+3,2E-1,"x\\u00e9\\n\\"",true,false,null,{"b":{}}, [ ] ]}',
  ' [ {"id":1 , "method":"m"},"\u00e9\u2028",0 ] ',
  '"\\ud800"',
  "-12.5e10",
  "\t[[[[]]],{}]\r\n",
];
const SPOILS = Buffer.from('{}[]:,"\\u01-+.eEtrfn \n\u0001\u00e9');

test("what is JSON is told as JSON.parse tells it, wherever it is cut, and whatever byte is spoilt", () => {
  for (const seed of SEEDS) {
    const json = Buffer.from(seed);
    for (let slice = 1; slice <= json.length; slice++) assert.ok(isJson(json, slice), seed);
    for (let at = 0; at < json.length; at++) {
      for (const byte of SPOILS) {
        const set = Buffer.from(json);
        set[at] = byte;
        const put = Buffer.concat([json.subarray(0, at), Buffer.of(byte), json.subarray(at)]);
        const cut = json.subarray(0, at);
        const out = Buffer.concat([cut, json.subarray(at + 1)]);
        for (const spoilt of [set, put, cut, out])
          assert.equal(isJson(spoilt, 7), parses(spoilt), JSON.stringify(spoilt.toString()));
      }
    }
  }
  for (const odd of [
    "",
    "\ufeff{}",
    "01",
    "1.",
    "+1",
    "tru",
    "truex",
    '"\t"',
    '{"a"}',
    "[1,]",
    "{,}",
  ])
    assert.equal(isJson(Buffer.from(odd)), parses(Buffer.from(odd)), odd);
});

test("nesting has no end, and is read in slices", () => {
  const deep = Buffer.from("[".repeat(100_000) + "]".repeat(100_000));
  assert.ok(isJson(deep, 1000));
  assert.ok(!isJson(deep.subarray(1), 1000));
});

test("every message of a batch has its own bytes, and tells where its values stand in them", () => {
  const parts = [
    '{"id":1,"method":"tools/call","params":{"name":"a","_meta":{"progress\\u0054oken":"t"}}}',
    '{ "params" : {"requestId":"x","requestId" : 7} ,"method":"notifications/cancelled"}',
    '{"id":"two","method":"tools/call","params":{"name":"b"},"params":{"uri":"u"}}',
  ];
  const seen = read(` [ ${parts.join(" , ")} ] `);
  assert.ok(seen.kind === "messages");
  assert.deepEqual(
    seen.messages.map(({ raw }) => raw.toString()),
    parts,
  );
  const at = (index: number, ...path: string[]) => {
    const message = seen.messages[index]!;
    const span = message.find(path);
    return span && textAt(message.raw, span);
  };
  assert.equal(at(0, "params", "_meta", "progressToken"), '"t"');
  assert.equal(at(1, "params", "requestId"), "7");
  assert.equal(at(2, "params", "name"), undefined);
  assert.equal(at(2, "params", "uri"), '"u"');
  assert.deepEqual(
    seen.messages.map(({ id, tool }) => [id, tool]),
    [
      ["1", "a"],
      [undefined, undefined],
      ['"two"', undefined],
    ],
  );
});

test("a batch of a thousand messages is read, one of more is refused", () => {
  const batch = (count: number) => `[${Array(count).fill('{"method":"m"}').join(",")}]`;
  const seen = read(batch(MAX_BATCH));
  assert.ok(seen.kind === "messages" && seen.messages.length === MAX_BATCH);
  assert.equal(read(batch(MAX_BATCH + 1)).kind, "not-rpc");
});

test("an id or method that no client would write is refused", () => {
  for (const body of [
    `{"id":"${"x".repeat(1100)}","method":"m"}`,
    `{"id":${"9".repeat(1100)},"method":"m"}`,
    `{"id":1,"method":"${"x".repeat(1100)}"}`,
  ])
    assert.equal(read(body).kind, "not-rpc", body.slice(0, 20));
});

test("a body of any size says in steps what it says at once", () => {
  const big = "x".repeat(3 * SMALL_BODY_BYTES);
  const bodies = [
    `{"id":1,"method":"tools/call","params":{"name":"a","arguments":{"text":"${big}"}}}`,
    `[{"id":1,"method":"${big.slice(0, 900)}","params":[${"[],".repeat(90_000)}0]},{"id":2,"result":{}}]`,
    `{"id":1,"id":2,"method":"m","params":"${big}"}`,
    `{"id":1,"method":"m","params":"${big}}`,
  ];
  const told = (seen: Peek) =>
    seen.kind === "messages"
      ? seen.messages.map(({ id, method, tool, raw }) => ({
          id,
          method,
          tool,
          raw: raw.toString(),
        }))
      : seen;
  for (const body of bodies) {
    const long = new LongPeek(Buffer.from(body));
    let steps = 1;
    let seen = long.advance();
    for (; seen === undefined; steps++) seen = long.advance();
    assert.deepEqual(told(seen), told(read(body)));
    assert.ok(steps > 1);
  }
});

test("a message of our own repeats an id that is no JSON, and is looked through like any other", () => {
  const refusal = ownMessage(
    '{"jsonrpc":"2.0","id":(7,"error":{"code":-32603,"message":"no"}}',
    "(7",
  );
  assert.equal(refusal.id, "(7");
  const meta = '{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"progressToken":4}}}';
  assert.ok(ownMessage(meta, "1", "m").find(["params", "_meta", "progressToken"]));
});
