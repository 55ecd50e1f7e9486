import assert from "node:assert/strict";
import { test } from "node:test";
import { peek } from "../../src/mcp/client-body.ts";
import { EnvelopeScanner, canonicalId } from "../../src/mcp/envelope.ts";
import type { Message } from "../../src/mcp/envelope.ts";

const scan = (text: string, cut?: number) => {
  const scanner = new EnvelopeScanner();
  const bytes = Buffer.from(text);
  if (cut === undefined) scanner.write(bytes, 0, bytes.length);
  else {
    scanner.write(bytes, 0, cut);
    scanner.write(bytes, cut, bytes.length);
  }
  return scanner;
};

const CASES: [string, string, Message[]][] = [
  [
    "a request",
    '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    [{ id: "1", method: "tools/list" }],
  ],
  [
    "an id that comes last",
    '{"result":{"id":9,"method":"x"},"jsonrpc":"2.0","id":"a-b"}',
    [{ id: '"a-b"', method: undefined }],
  ],
  [
    "a notification",
    '{"jsonrpc":"2.0","method":"notifications/initialized"}',
    [{ id: undefined, method: "notifications/initialized" }],
  ],
  [
    "an error without an id",
    '{"id":null,"error":{"code":-32700}}',
    [{ id: undefined, method: undefined, outcome: "error" }],
  ],
  [
    "a result that says the tool failed, however its key is written, and not what lies deeper",
    '[{"id":1,"result":{"a":{"isError":true},"is\\u0045rror" : true }},{"id":2,"result":{"a":[{"isError":true}],"isError":false}},{"id":3,"isError":true,"result":"x"}]',
    [
      { id: "1", method: undefined, outcome: "tool-error" },
      { id: "2", method: undefined },
      { id: "3", method: undefined },
    ],
  ],
  [
    "an id inside a string",
    '{"result":"\\"id\\":5,\\\\","id":7}',
    [{ id: "7", method: undefined }],
  ],
  [
    "an id in a nested array",
    '{"params":[{"id":3},"id",{"method":"m"}],"method":"real","id":4}',
    [{ id: "4", method: "real" }],
  ],
  ["escaped key letters", '{"\\u0069d":8,"m\\u0065thod":"x\\u0079"}', [{ id: "8", method: "xy" }]],
  [
    "a big number",
    '{"id":12345678901234567890,"method":"m"}',
    [{ id: "12345678901234567890", method: "m" }],
  ],
  [
    "white space everywhere",
    ' {\n "id" : -1.5e2 ,\r\n\t"method" : "m" } ',
    [{ id: "-150", method: "m" }],
  ],
  ["letters beyond ASCII", '{"id":"ключ","method":"м"}', [{ id: '"ключ"', method: "м" }]],
  [
    "a batch",
    '[{"id":1,"method":"a"},{"method":"b"},{"id":2,"result":[[{"id":3}]]}]',
    [
      { id: "1", method: "a" },
      { id: undefined, method: "b" },
      { id: "2", method: undefined },
    ],
  ],
];

for (const [name, text, expected] of CASES) {
  test(`the scanner reads ${name}, split at every byte`, () => {
    assert.deepEqual(scan(text).messages, expected);
    for (let cut = 0; cut <= Buffer.byteLength(text); cut++)
      assert.deepEqual(scan(text, cut).messages, expected, `cut at ${cut}`);
  });
}

test("the scanner starts over after a reset", () => {
  const scanner = scan('[{"id":1,"method":"a"');
  scanner.reset();
  const text = Buffer.from('{"id":2,"result":{}}');
  scanner.write(text, 0, text.length);
  assert.deepEqual(scanner.messages, [{ id: "2", method: undefined }]);
  assert.equal(scanner.isBatch, false);
});

test("one id has one canonical form, however it was written", () => {
  assert.equal(canonicalId('"\\u0061"'), canonicalId('"a"'));
  assert.equal(canonicalId("1.0"), canonicalId("1"));
  assert.equal(canonicalId("1.50"), canonicalId("15e-1"));
  assert.notEqual(canonicalId('"1"'), canonicalId("1"));
  assert.equal(canonicalId("90071992547409930"), "90071992547409930");
});

test("what is not JSON and what is no envelope are told apart", () => {
  const kind = (text: string) => peek(Buffer.from(text)).kind;
  for (const text of ["", "{", "nonsense", '{"id":1,}', "\u0000"])
    assert.equal(kind(text), "not-json", text);
  for (const text of [
    "1",
    "null",
    '"x"',
    "[]",
    "[1]",
    "[[]]",
    "{}",
    '{"id":{},"method":"m"}',
    '{"id":1,"method":7}',
    '{"id":true}',
    '{"id":1,"say":"hello"}',
    '{"jsonrpc":"2.0","id":null,"method":"ping"}',
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","\\u0069d":null,"method":"x"}]',
    '{"jsonrpc":"2.0","id":null}',
  ]) {
    assert.equal(kind(text), "not-rpc", text);
  }
  assert.equal(kind('{"jsonrpc":"2.0","id":1,"method":"ping"}'), "messages");
  for (const text of ['{"id":null,"result":{}}', '{"result":{}}', '{"error":{"code":1}}'])
    assert.equal(kind(text), "messages", text);
});

test("an id or method that stands twice is refused, also where one is written with escapes", () => {
  for (const text of [
    '{"id":1,"id":2,"method":"a"}',
    '{"id":1,"method":"a","method":"b"}',
    '{"id":1,"\\u0069d":2,"method":"a"}',
    '[{"id":1,"method":"a"},{"id":2,"method":"b","id":3}]',
  ]) {
    assert.equal(peek(Buffer.from(text)).kind, "not-rpc", text);
  }
});

const named = (messages: readonly Message[]) => messages.map(({ id, method }) => ({ id, method }));

test("the short way and the scanner agree on every message", () => {
  for (const [, text, expected] of CASES) {
    const seen = peek(Buffer.from(text));
    if (seen.kind === "messages") assert.deepEqual(named(seen.messages), named(expected), text);
  }
  for (const id of [
    "1",
    '"a\\\\b"',
    '"a\\"b"',
    '"a/b"',
    '"\\u00e9"',
    "1.5",
    "1e400",
    "-0",
    "9007199254740993",
    '"é"',
    '"\\/"',
  ]) {
    const text = `{"id":${id},"method":"m"}`;
    const seen = peek(Buffer.from(text));
    assert.deepEqual(seen.kind === "messages" && named(seen.messages), scan(text).messages, text);
  }
});
