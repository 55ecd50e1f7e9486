import assert from "node:assert/strict";
import { test } from "node:test";
import { stopUnderSessions } from "./idle.ts";
import { waysOf } from "./kills.ts";
import { inTest } from "./rig.ts";

// `npm run survive` does it at length, and judges how long things take.
test("sessions go on after their server was stopped for being idle", async (t) => {
  const ways = waysOf("stdio by mcp", "stdio-session by sse", "sse by sse", "http by sse");
  const { failed } = await stopUnderSessions(inTest(t), { ways, stops: 2, idleTimeout: "500ms" });
  assert.deepEqual(failed, []);
});
