import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { startFixture } from "./fixture.ts";
import { FIXTURE_CONFIG, openDoor } from "./gateway.ts";
import { differences, runSuite, type Suite, SUITES } from "./suites.ts";

// `npm run conformance` runs all three; these two ask every method in one era each.
const [LEGACY, , MODERN] = SUITES as [Suite, Suite, Suite];

test("the official suites get the same answers through the gateway, in both eras", async (t) => {
  const fixture = await startFixture();
  t.after(fixture.close);
  const door = await openDoor(await startDaemon(t, { config: FIXTURE_CONFIG }));
  t.after(door.close);
  for (const suite of [LEGACY, MODERN]) {
    const [direct, through] = await Promise.all([
      runSuite(suite, fixture.url),
      runSuite(suite, door.url),
    ]);
    assert.deepEqual(differences(direct, through), [], suite.name);
    assert.deepEqual([direct.passed, direct.failed], [suite.passed, suite.failed]);
  }
});
