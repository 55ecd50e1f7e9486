import assert from "node:assert/strict";
import { test } from "node:test";
import { waysOf } from "./kills.ts";
import { tellTheSilent } from "./silent.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("clients that only listen are told of what they may have missed, and of lists that changed", async (t) => {
  const ways = waysOf("stdio by sse", "sse by mcp", "http by mcp");
  const { failed } = await tellTheSilent(inTest(t), { ways, isTimed: false });
  assert.deepEqual(failed, []);
});
