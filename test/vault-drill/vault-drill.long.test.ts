import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { daemonFolder } from "../helpers/daemon.ts";
import { killWhileRotating } from "./rotation.ts";
import { drillServing } from "./serving.ts";

// `npm run vault-drill` has 10,000 users, 20 kills and 50 backups, and holds the figures to their limits.
test("a holder killed while the key changes leaves rows that all open, and the first key alone opens none", async (t) => {
  const dataDir = join(daemonFolder(t), "data");
  const { kills } = await killWhileRotating(dataDir, { rows: 1000, kills: 3, spreadMs: 300 });
  assert.equal(kills, 3);
});

test("under calls and writes the key is changed, backups are made, and all is restored, and nothing fails", async (t) => {
  const folder = daemonFolder(t);
  const figures = await drillServing({
    folder,
    users: 500,
    auditRows: 2000,
    rounds: 1,
    seconds: 1,
    backups: 2,
    everyMs: 0,
  });
  assert.deepEqual(figures.failures, []);
  assert.ok(figures.rounds.length === 1 && figures.calls > 0 && figures.writes > 0);
});
