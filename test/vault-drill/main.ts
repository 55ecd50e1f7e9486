// npm run vault-drill [-- --rows 10000 --kills 20 --audit 100000 --backups 50 --seconds 10]: the key is
// changed under load and kill -9, backups are made under writes, everything is lost and restored.
// Exits 0 only if nothing failed and every figure holds.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { killWhileRotating } from "./rotation.ts";
import { drillServing } from "./serving.ts";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "10000" },
    kills: { type: "string", default: "20" },
    audit: { type: "string", default: "100000" },
    backups: { type: "string", default: "50" },
    seconds: { type: "string", default: "10" },
  },
});
const rows = Number(values.rows);
const MAX_P99_RATIO = 1.5;
const MAX_PAUSE_MS = 20;
const MAX_RESTORE_MS = 30_000;

const folder = mkdtempSync(join(tmpdir(), "mcps-"));
try {
  const kills = Number(values.kills);
  const killed = await killWhileRotating(join(folder, "held"), { rows, kills, spreadMs: 2500 });
  console.log(
    `${kills} kills while ${rows} rows were sealed anew, ${killed.between} of them between: each start opened every row`,
  );
  console.log(`the last went through in ${killed.resealMs} ms; the first key alone opens nothing`);
  const served = await drillServing({
    folder,
    users: rows,
    auditRows: Number(values.audit),
    seconds: Number(values.seconds),
    backups: Number(values.backups),
    everyMs: 1000,
  });
  const ratio = served.p99RotatingMs / served.p99Ms;
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  console.log(
    `${served.calls} calls and ${served.writes} writes: ${served.failures.length} failed`,
  );
  for (const failure of served.failures.slice(0, 5)) console.log(`  ${failure}`);
  console.log(
    `p99 of calls ${ms(served.p99Ms)}, while ${served.rotations} rotations went on ${ms(served.p99RotatingMs)}: ${ratio.toFixed(2)} times`,
  );
  const pauses = {
    plain: served.pausePlain,
    rotating: served.pauseRotating,
    "backing up": served.pauseBackup,
  };
  for (const [when, { maxMs, maxBusyMs }] of Object.entries(pauses))
    console.log(
      `longest pause, ${when}: ${ms(maxMs)}, of which the daemon was busy at most ${ms(maxBusyMs)}`,
    );
  console.log(`${values.backups} backups good, the slowest in ${ms(served.backupMs)}`);
  console.log(`restored and serving again in ${ms(served.restoreMs)}`);
  const holds =
    served.failures.length === 0 &&
    ratio <= MAX_P99_RATIO &&
    Math.max(served.pauseRotating.maxBusyMs, served.pauseBackup.maxBusyMs) <= MAX_PAUSE_MS &&
    served.restoreMs <= MAX_RESTORE_MS;
  process.exitCode = holds ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
