import assert from "node:assert/strict";
import { test } from "node:test";
import { waysOf } from "./kills.ts";
import { killTheAsking } from "./questions.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("what a killed server has asked is cancelled, and its late answer reaches no other", async (t) => {
  const ways = waysOf("stdio by mcp", "sse by sse", "http by sse");
  const { failed } = await killTheAsking(inTest(t), ways);
  assert.deepEqual(failed, []);
});
