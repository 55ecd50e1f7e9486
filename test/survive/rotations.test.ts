import assert from "node:assert/strict";
import { test } from "node:test";
import { rotateUnderLoad } from "./rotations.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, of every kind.
test("tokens that are replaced again and again under load: no call fails, and each has the token of its moment", async (t) => {
  const ways = ["stdio", "sse", "remote-http", "token-file"] as const;
  const { failed } = await rotateUnderLoad(inTest(t), { ways, rotations: 3 });
  assert.deepEqual(failed, []);
});
