import assert from "node:assert/strict";
import { test } from "node:test";
import { cutUnderCalls } from "./cuts.ts";
import { EACH_KIND, waysOf } from "./kills.ts";
import { inTest } from "./rig.ts";

// `npm run survive` cuts more, on every way.
test("two clients with one key that are cut off again and again hear each message of their own once and in order, of each kind of server", async (t) => {
  const ways = [...EACH_KIND, ...waysOf("sse by sse", "http by sse")];
  const { failed } = await cutUnderCalls(inTest(t), { cuts: 5, calls: 20 }, ways);
  assert.deepEqual(failed, []);
});
