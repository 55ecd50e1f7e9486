import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { callFromAllSides, SHARED_CONFIG } from "./mixups.ts";

// `npm run mixups` makes five times as many.
const CALLS = 20_000;

test("sixteen sessions with the same request ids on one child, over both fronts: every answer comes to its asker", async (t) => {
  const daemon = await startDaemon(t, { config: SHARED_CONFIG });
  const { key } = await daemon.addUser("alice");
  const tallies = await callFromAllSides(daemon.origin, "alice", key.secret, CALLS);
  for (const { transport, sessions, calls, errors, errorSamples, strays } of tallies) {
    assert.deepEqual(
      { sessions, calls, errors, errorSamples, strays },
      { sessions: 8, calls: CALLS / 2, errors: 0, errorSamples: [], strays: 0 },
      transport,
    );
  }
  const { instances } = (await daemon.cli(["status"])).json<{ instances: object[] }>();
  assert.equal(instances.length, 1, "one child has answered them all");
});
