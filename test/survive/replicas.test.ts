import assert from "node:assert/strict";
import { test } from "node:test";
import { shareAmongReplicas } from "./replicas.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("replicas share the calls, those of one that ends, stands still or is slow go to the others, and each runs once", async (t) => {
  const { failed } = await shareAmongReplicas(inTest(t), { calls: 150, isTimed: false });
  assert.deepEqual(failed, []);
});
