import assert from "node:assert/strict";
import { test } from "node:test";
import { readToolBody } from "../../src/gateway/tool-body.ts";

const read = (text: string) => readToolBody(Buffer.from(text));

test("the arguments of a call stay as they were written, whatever stands around them", async () => {
  const args = '{ "n": 12345678901234567890, "a": [1.0, "\\u0041"], "a\\"": {"args": {}} }';
  const body = `{"strict": true, "args": ${args} , "server": "http://host/sse", "method": "do"}`;
  const wanted = await read(body);
  assert.equal(wanted.args.toString(), args);
  assert.deepEqual(
    { ...wanted, args: undefined },
    { method: "do", args: undefined, server: "http://host/sse", isStrict: true },
  );
  const least = await read('{"method":"do"}');
  assert.deepEqual([least.args.toString(), least.server, least.isStrict], ["{}", undefined, false]);
});

test("a body of megabytes is read in slices, and others get their turn", async () => {
  const large = `{"method":"do","args":{"data":"${"x".repeat(3_000_000)}"}}`;
  let turns = 0;
  const count = (): void => void ((turns += 1), (timer = setImmediate(count)));
  let timer = setImmediate(count);
  const { args } = await read(large);
  clearImmediate(timer);
  assert.equal(args.length, 3_000_011);
  assert.ok(turns > 10, `${turns} turns`);
});

for (const [body, why] of [
  ["", /not JSON/],
  ["nonsense", /not JSON/],
  ['{"method":"do"', /not JSON/],
  ['{"method":"do"}{}', /not JSON/],
  ["[]", /must be a JSON object/],
  ['[{"method":"do"}]', /must be a JSON object/],
  ["null", /must be a JSON object/],
  ["{}", /method must be/],
  ['{"method":""}', /method must be/],
  ['{"method":5}', /method must be/],
  [`{"method":"${"x".repeat(2000)}"}`, /method must be/],
  ['{"method":"do","args":[]}', /args must be/],
  ['{"method":"do","args":null}', /args must be/],
  ['{"method":"do","args":"{}"}', /args must be/],
  ['{"method":"do","server":5}', /server must be/],
  ['{"method":"do","strict":"yes"}', /strict must be/],
  ['{"method":"do","tool":"do"}', /no other key/],
  ['{"method":"do","__proto__":{}}', /no other key/],
  ['{"method":"do","args":{},"args":{"x":1}}', /twice/],
  ['{"method":"do","\\u0061rgs":{},"args":{"x":1}}', /twice/],
  [`{"method":"do","server":"${"x".repeat(20_000)}"}`, /too much/],
] as const)
  test(`no call: ${body.slice(0, 60)}`, async () => {
    await assert.rejects(read(body), { code: "REQUEST_INVALID", message: why });
  });
