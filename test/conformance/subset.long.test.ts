import assert from "node:assert/strict";
import { test } from "node:test";
import { startDaemon } from "../helpers/daemon.ts";
import { startFixture } from "./fixture.ts";
import { FIXTURE_CONFIG, openDoor } from "./gateway.ts";
import { bridgeDifferences, differences, runSuite, type Suite, SUITES } from "./suites.ts";

// `npm run conformance` runs all three, every way; these two ask every method in one era each.
const [LEGACY, , MODERN] = SUITES as [Suite, Suite, Suite];

test("the official suites get the same answers through the gateway, in both eras, from HTTP and stdio children", async (t) => {
  const fixture = await startFixture();
  t.after(fixture.close);
  const door = await openDoor(await startDaemon(t, { config: FIXTURE_CONFIG }));
  t.after(door.close);
  const [relay, overStdio] = door.http;
  for (const suite of [LEGACY, MODERN]) {
    const direct = await runSuite(suite, fixture.url);
    assert.deepEqual([direct.passed, direct.failed], [suite.passed, suite.failed]);
    const [relayed, bridged] = await Promise.all([
      runSuite(suite, relay!.url),
      runSuite(suite, overStdio!.url),
    ]);
    assert.deepEqual(differences(direct, relayed), [], `${suite.name}, relay`);
    assert.deepEqual(bridgeDifferences(direct, bridged), [], `${suite.name}, bridge`);
  }
});
