import assert from "node:assert/strict";
import { test } from "node:test";
import { replaceUnderLoad } from "./switches.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("under load a server is replaced by order, by a new token and by a reload, and no call fails", async (t) => {
  const kinds = ["stdio", "http"] as const;
  const options = { kinds, switches: 1, drainTimeout: "1s", isTimed: false };
  const { failed } = await replaceUnderLoad(inTest(t), options);
  assert.deepEqual(failed, []);
});
