import assert from "node:assert/strict";
import { test } from "node:test";
import { killDuringCalls } from "./in-flight.ts";
import { waysOf } from "./kills.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("calls whose server is killed get a result where `resend` says so, else an error that tells whether they may have happened", async (t) => {
  const ways = waysOf("stdio by sse", "http by mcp");
  const { failed } = await killDuringCalls(inTest(t), { ways, isTimed: false });
  assert.deepEqual(failed, []);
});
