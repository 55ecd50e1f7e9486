import assert from "node:assert/strict";
import { test } from "node:test";
import { lackText } from "../../src/engines/process/lacks.ts";
import { probeMachine } from "../../src/engines/process/levels.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { torture } from "./torture.ts";

// Another seed each time: a failure names it, and `npm run torture -- --seed N` begins the same way.
const seed = Number(process.env["TORTURE_SEED"] ?? Date.now() % 1e9);

test(`level none: a daemon killed at 5 points of its work loses no acknowledged write and leaves no orphan to its next life (seed ${seed})`, async () => {
  const report = await torture({ rounds: 5, seed, level: "none", graceMs: 10_000 });
  assert.ok(report.acknowledged > 0);
});

test(`level sandbox: a daemon killed at 8 points of its work loses no acknowledged write, and its children end with it (seed ${seed})`, async (t) => {
  const dataDir = temporaryFolder(t);
  const { sandbox } = await probeMachine({ uids: null, dataDir, socketDir: dataDir });
  if (sandbox.length > 0) return t.skip(sandbox.map(lackText).join("; "));
  await torture({ rounds: 8, seed, level: "sandbox", graceMs: 5_000 });
  return undefined;
});
