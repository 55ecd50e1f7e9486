// npm run vault-drill [-- --rows 10000 --kills 20 --audit 100000 --backups 50 --rounds 3 --seconds 10]: the key is
// changed under load and kill -9, backups are made under writes, everything is lost and restored.
// Exits 0 only if nothing failed and every figure holds.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { quantile } from "./latency.ts";
import type { Pauses } from "./pauses.ts";
import { killWhileRotating } from "./rotation.ts";
import { drillServing } from "./serving.ts";
import type { RoundFigures } from "./serving.ts";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "10000" },
    kills: { type: "string", default: "20" },
    audit: { type: "string", default: "100000" },
    backups: { type: "string", default: "50" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "10" },
  },
});
const rows = Number(values.rows);
const MAX_P99_RATIO = 1.5;
const MAX_PAUSE_MS = 20;
const MAX_RESTORE_MS = 30_000;

const ms = (value: number): string => `${value.toFixed(1)} ms`;
const percent = (part: number): string => `${(part * 100).toFixed(1)} %`;
const ratioOf = ({ p99Ms, p99RotatingMs }: RoundFigures): number => p99RotatingMs / p99Ms;
const longestBusy = (told: Pauses[]): number => Math.max(...told.map(({ maxBusyMs }) => maxBusyMs));

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
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    backups: Number(values.backups),
    everyMs: 1000,
  });
  console.log(
    `${served.calls} calls and ${served.writes} writes: ${served.failures.length} failed`,
  );
  for (const failure of served.failures.slice(0, 5)) console.log(`  ${failure}`);
  for (const round of served.rounds)
    console.log(
      `p99 of calls ${ms(round.p99Ms)}, while ${rows} rows are sealed anew in ${ms(round.rotationMs)} ${ms(round.p99RotatingMs)}: ${ratioOf(round).toFixed(2)} times; loop busy ${percent(round.pausePlain.busyPart)} and ${percent(round.pauseRotating.busyPart)}`,
    );
  const ratio = quantile(served.rounds.map(ratioOf), 0.5);
  console.log(`p99 while the key is changed: ${ratio.toFixed(2)} times (median)`);
  const pauses = {
    plain: served.rounds.map(({ pausePlain }) => pausePlain),
    rotating: served.rounds.map(({ pauseRotating }) => pauseRotating),
    "backing up": [served.pauseBackup],
  };
  for (const [when, told] of Object.entries(pauses))
    console.log(
      `longest pause, ${when}: ${ms(Math.max(...told.map(({ maxMs }) => maxMs)))}, of which the daemon was busy at most ${ms(longestBusy(told))}`,
    );
  console.log(`${values.backups} backups good, the slowest in ${ms(served.backupMs)}`);
  console.log(`restored and serving again in ${ms(served.restoreMs)}`);
  const holds =
    served.failures.length === 0 &&
    ratio <= MAX_P99_RATIO &&
    longestBusy([...pauses.rotating, served.pauseBackup]) <= MAX_PAUSE_MS &&
    served.restoreMs <= MAX_RESTORE_MS;
  process.exitCode = holds ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
