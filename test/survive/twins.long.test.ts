import assert from "node:assert/strict";
import { test } from "node:test";
import { inTest } from "./rig.ts";
import { cutTwins } from "./twins.ts";

// `npm run survive` cuts more often.
test("two clients with one key that lose their streams at once, with calls of the same ids under way, hear no answer of each other", async (t) => {
  const { failed } = await cutTwins(inTest(t), 3);
  assert.deepEqual(failed, []);
});
