import assert from "node:assert/strict";
import { test } from "node:test";
import { loseSessions } from "./lost.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("a session that the next server cannot take up is over, and its client begins anew", async (t) => {
  const kinds = ["stdio", "http"] as const;
  const { failed } = await loseSessions(inTest(t), kinds);
  assert.deepEqual(failed, []);
});
