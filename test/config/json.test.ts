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

test("what is malformed is refused with line and column", () => {
  const cases: Record<string, string> = {
    "": "line 1, column 1: this is not JSON",
    '{"a":1,,}': "line 1, column 8: expected a key in double quotes",
    "{,}": "line 1, column 2: expected a key in double quotes",
    "[,]": "line 1, column 2: expected a value",
    "[1,\n,]": "line 2, column 1: expected a value",
    '{"a":1 /* x': "line 1, column 8: this comment does not end",
    "/": "line 1, column 1: this is not JSON",
    "# x\n{}": "line 1, column 1: this is not JSON",
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

test("comments and trailing commas are read, where they are not text", () => {
  const text = `// of ours
    { /* none, } */ "url": "http://x/mcp", // "url": "http://y/mcp"
      "args": ["/* here */", "// there", "c:\\\\", ], /**/ "a": {"b": [],},
    }
    /* the end **/`;
  assert.deepEqual(readJson(text), {
    value: {
      url: "http://x/mcp",
      args: ["/* here */", "// there", "c:\\"],
      a: { b: [] },
    },
    problems: [],
  });
});

test("what no config is, is refused and not fallen over: nested, long, full of commas", () => {
  for (const [open, close] of [
    ["[", "]"],
    ['{"a":', "}"],
  ] as const) {
    const text = `${open.repeat(10_000)}1${close.repeat(10_000)}`;
    assert.match(
      readJson(text).problems.join(),
      /^line 1, column \d+: this is nested over 64 levels/,
    );
  }
  const long = "x".repeat(30_000_000);
  assert.deepEqual(readJson(JSON.stringify(long)), { value: long, problems: [] });
  assert.equal(readJson(`[${"1,".repeat(100_000)}]`).problems.length, 0);
  assert.equal(readJson("/*".repeat(100_000)).problems.length, 1);
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
