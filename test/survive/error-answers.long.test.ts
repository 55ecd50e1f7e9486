import assert from "node:assert/strict";
import { test } from "node:test";
import { endStreamsByErrors } from "./error-answers.ts";
import { inTest } from "./rig.ts";

// `npm run survive` watches it for longer.
test("a client of the first TypeScript SDK comes back once for an answer that was an error", async (t) => {
  const { failed } = await endStreamsByErrors(inTest(t), { errors: 2, restMs: 20, watchMs: 0 });
  assert.deepEqual(failed, []);
});
