import assert from "node:assert/strict";
import { test } from "node:test";
import { EACH_KIND, killUnderSessions } from "./kills.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("of each kind a session goes on after five kills of its server, and every call is executed once", async (t) => {
  const { failed } = await killUnderSessions(inTest(t), 5, EACH_KIND);
  assert.deepEqual(failed, []);
});
