import assert from "node:assert/strict";
import { test } from "node:test";
import { readJson } from "../../src/config/json.ts";

test("what JSON.parse reads is read the same", () => {
  const texts = [
    "{}",
    " [ ] ",
    '{"a":[1,-2.5e3,true,false,null,"x"],"b":{"c":"\\u00e9\\n\\""}}',
    '"é"',
  ];
  for (const text of texts)
    assert.deepEqual(readJson(text), { value: JSON.parse(text), problems: [] });
});

test("what JSON.parse refuses is refused with line and column", () => {
  const cases: Record<string, string> = {
    "": "line 1, column 1: this is not JSON",
    '{"a":1,}': "line 1, column 8: expected a key in double quotes",
    '{"a":1\n  // x\n}': "line 2, column 3: JSON has no comments",
    '{"a":\n}': "line 2, column 1: expected a value",
    "[1 2]": "line 1, column 4: expected ,",
    "[01]": "line 1, column 3: expected ,",
    "{} {}": "line 1, column 4: expected the end of the file",
    '{"a":tru}': "line 1, column 6: this is not JSON",
    '"a\nb"': "line 1, column 1: this is not JSON",
    '"\\x"': "line 1, column 1: this is not JSON",
    "{'a':1}": "line 1, column 2: expected a key in double quotes",
  };
  for (const [text, problem] of Object.entries(cases)) {
    assert.throws(() => JSON.parse(text));
    assert.deepEqual(readJson(text).problems, [problem], text);
  }
});

test("a key that is given twice is told, not dropped", () => {
  assert.deepEqual(readJson('{"servers":{},\n"servers":{}}').problems, [
    "line 2, column 1: a key is given twice in one object",
  ]);
  assert.deepEqual(readJson('[{"a":1},{"a":1}]').problems, []);
});

test("__proto__ is told and reaches no prototype", () => {
  const { value, problems } = readJson('{"__proto__":{"polluted":true}}');
  assert.deepEqual(problems, ["line 1, column 2: __proto__ cannot be a key"]);
  assert.equal((value as Record<string, unknown>)["polluted"], undefined);
});
