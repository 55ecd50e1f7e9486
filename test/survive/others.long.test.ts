import assert from "node:assert/strict";
import { test } from "node:test";
import { rideWithOthers } from "./others.ts";
import { inTest } from "./rig.ts";
import { typescriptClients } from "./sdk-clients.ts";

// `npm run survive` does it at length, and judges how long things take.
test("clients of the SDKs keep their sessions through kills, idle stops and restarts", async (t) => {
  const kinds = ["http"] as const;
  const { failed } = await rideWithOthers(inTest(t), typescriptClients, 2, kinds);
  assert.deepEqual(failed, []);
});
