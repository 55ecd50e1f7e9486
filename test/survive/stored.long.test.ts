import assert from "node:assert/strict";
import { test } from "node:test";
import { inTest } from "./rig.ts";
import { killAfterHello } from "./stored.ts";

// `npm run survive` kills more often.
test("a session is there after the daemon was killed right behind the answer to its initialize", async (t) => {
  const { failed } = await killAfterHello(inTest(t), 3);
  assert.deepEqual(failed, []);
});
