import assert from "node:assert/strict";
import { test } from "node:test";
import { greetWhileAsleep } from "./asleep.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("clients that begin while the server sleeps are answered from what it last showed them", async (t) => {
  const kinds = ["stdio"] as const;
  const options = { kinds, startMs: 1000, clients: 3, isTimed: false };
  const { failed } = await greetWhileAsleep(inTest(t), options);
  assert.deepEqual(failed, []);
});
