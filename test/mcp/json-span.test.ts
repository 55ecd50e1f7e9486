import assert from "node:assert/strict";
import { test } from "node:test";
import { elementsOf, locate, splice, textAt } from "../../src/mcp/json-span.ts";

const at = (json: string, ...path: string[]) => {
  const bytes = Buffer.from(json);
  const span = locate(bytes, path);
  return span === undefined ? undefined : textAt(bytes, span);
};

test("a value is found by its path, whatever stands before it", () => {
  assert.equal(at('{"id":7}', "id"), "7");
  assert.equal(
    at('{"result":{"id":1,"x":[{"id":2}]},"jsonrpc":"2.0","id" : "a\\"b" }', "id"),
    '"a\\"b"',
  );
  assert.equal(
    at(
      '{"params":{"_meta":{"progressToken":12345678901234567890},"progressToken":1}}',
      "params",
      "_meta",
      "progressToken",
    ),
    "12345678901234567890",
  );
  assert.equal(at('{"a":"}]\\\\","b":[1,2,{"c":"\\""}],"d":null}', "d"), "null");
  assert.equal(at('{"ключ":"é","\\u0069d":true}', "id"), "true");
  assert.equal(at('{"a":{},"b":[]}', "b"), "[]");
});

test("a path that leads nowhere finds nothing", () => {
  for (const json of [
    "{}",
    "[]",
    '{"params":null}',
    '{"params":[]}',
    '{"params":{"_meta":7}}',
    '"x"',
    "",
  ]) {
    assert.equal(at(json, "params", "_meta", "progressToken"), undefined, json);
  }
});

test("of keys that stand twice the last one counts", () => {
  assert.equal(at('{"id":1,"id":2}', "id"), "2");
  assert.equal(at('{"p":{"t":1},"p":{}}', "p", "t"), undefined);
});

test("only the bytes of the span change", () => {
  const json = Buffer.from('{ "id" : 1, "n":1e400, "s":"\\u00e9é" , "m":{"t":"x"}}');
  const changed = splice(json, [
    [locate(json, ["id"])!, '"client"'],
    [locate(json, ["m", "t"])!, "5"],
  ]);
  assert.equal(changed.toString(), '{ "id" : "client", "n":1e400, "s":"\\u00e9é" , "m":{"t":5}}');
});

test("the elements of a batch are told apart", () => {
  const json = Buffer.from(' [ {"id":1,"a":[1,2]} ,{"id":2},"x" ] ');
  assert.deepEqual(
    elementsOf(json)?.map((span) => textAt(json, span)),
    ['{"id":1,"a":[1,2]}', '{"id":2}', '"x"'],
  );
  assert.deepEqual(elementsOf(Buffer.from("[]")), []);
  assert.equal(elementsOf(Buffer.from("{}")), undefined);
});

test("text that is no JSON is looked through once, whatever stands in it", () => {
  for (const text of [
    "[}",
    "[,]",
    "[1,}",
    "[{}}",
    "[1 2",
    '["',
    '["a"}',
    "[[}",
    "[]]",
    "[\0",
    "{]",
    '{"a":]',
    '{"a":,}',
    '{"id"',
    "{,",
    "{}}",
  ]) {
    const json = Buffer.from(text);
    const spans = elementsOf(json) ?? [];
    assert.ok(spans.length <= json.length, text);
    locate(json, ["id"]);
    locate(json, ["a", "b"]);
  }
  for (const text of ["[}", "[1", "[[", '["a'])
    assert.equal(elementsOf(Buffer.from(text)), undefined);
  assert.equal(elementsOf(Buffer.from("[1,2,3,4]"), 3)?.length, 3);
});
