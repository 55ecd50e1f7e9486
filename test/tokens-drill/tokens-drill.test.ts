import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder } from "../helpers/store.ts";
import { endWhileRefreshing } from "./drill.ts";

// `npm run tokens` ends a holder, or the daemon, 1,000 times in each way.
test("ended in good order in the middle of refreshes, no refresh token is lost", async (t) => {
  for (const [victim, ends] of [
    ["holder", 4],
    ["daemon", 2],
  ] as const) {
    const folder = temporaryFolder(t);
    const { lost } = await endWhileRefreshing(folder, { signal: "SIGTERM", ends, victim });
    assert.equal(lost, 0, victim);
  }
});

test("killed in the middle of refreshes, only what was answered and not stored is lost, and the next start says so", async (t) => {
  const { ends } = await endWhileRefreshing(temporaryFolder(t), { signal: "SIGKILL", ends: 5 });
  assert.equal(ends, 5);
});
