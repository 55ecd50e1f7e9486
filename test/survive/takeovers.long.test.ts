import assert from "node:assert/strict";
import { test } from "node:test";
import { inTest } from "./rig.ts";
import { cutBetweenCalls } from "./takeovers.ts";

// `npm run survive` cuts more often.
test("clients of both TypeScript SDKs over HTTP with SSE go on after their stream was cut, each with the child that knows what it declared", async (t) => {
  const { failed } = await cutBetweenCalls(inTest(t), 2);
  assert.deepEqual(failed, []);
});
