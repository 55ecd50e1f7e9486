import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import Database from "better-sqlite3";
import { DATABASE_FILE, DatabaseCopy } from "../../src/store/store.ts";
import { requireKeys } from "../../src/vault/key-file.ts";
import { openerOf, requireAllToOpen } from "../../src/vault/requirements.ts";
import { startDaemonProcess } from "../helpers/daemon-process.ts";
import type { DaemonProcess } from "../helpers/daemon-process.ts";
import { fixture } from "../helpers/fixtures.ts";
import { isAlive } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";
import { load, order, quantile } from "./latency.ts";
import type { Load, Target } from "./latency.ts";
import type { Pauses } from "./pauses.ts";
import { seedDataDir, tokenOf } from "./seed.ts";

const TELLS_PAUSES = new URL("pauses.ts", import.meta.url).href;

export interface ServingOptions {
  /** Empty; its path leaves room for a socket. */
  folder: string;
  users: number;
  auditRows: number;
  /** How often the load is measured without a rotation and with one, in turns. */
  rounds: number;
  /** How long a load without a rotation lasts; one with lasts until every row is sealed anew. */
  seconds: number;
  backups: number;
  /** From the beginning of one backup to that of the next. */
  everyMs: number;
}

export interface ServingFigures {
  failures: string[];
  calls: number;
  writes: number;
  rounds: RoundFigures[];
  pauseBackup: Pauses;
  backupMs: number;
  restoreMs: number;
}

/** Once without a rotation, and then with one. */
export interface RoundFigures {
  p99Ms: number;
  p99RotatingMs: number;
  rotationMs: number;
  pausePlain: Pauses;
  pauseRotating: Pauses;
}

interface Served {
  daemon: DaemonProcess;
  target: Target;
  dataDir: string;
  pause: () => Promise<Pauses>;
}

async function serve({ folder, users, auditRows }: ServingOptions): Promise<Served> {
  const dataDir = join(folder, "data");
  seedDataDir(dataDir, { users, auditRows });
  const file = join(folder, "pauses.json");
  const daemon = await start(dataDir, {
    NODE_OPTIONS: `--import ${TELLS_PAUSES}`,
    PAUSES_FILE: file,
  });
  const { key } = await daemon.addUser("alice", "token-of-alice-of-the-drill");
  const target: Target = {
    port: Number(new URL(daemon.origin).port),
    socket: daemon.controlSocket,
    user: "alice",
    secret: key.secret,
    users,
    written: new Map(),
  };
  let turn = 0;
  const pause = async (): Promise<Pauses> => {
    process.kill(daemon.pid, "SIGUSR2");
    const told = await until(() => {
      const pauses = existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as Pauses);
      return pauses && pauses.turn > turn ? pauses : undefined;
    }, "the daemon has told its longest pause");
    turn = told.turn;
    return told;
  };
  return { daemon, target, dataDir, pause };
}

async function start(dataDir: string, env: Record<string, string> = {}): Promise<DaemonProcess> {
  const servers = { echo: fixture("http", "echo-sse") };
  const config = {
    dataDir,
    isolation: "none",
    log: { level: "warn" },
    defaultServer: "echo",
    servers,
  };
  return await startDaemonProcess(config, { env });
}

/** Rotates, and waits until every row is sealed anew; how long that took. */
async function rotate({ socket }: Target): Promise<number> {
  const startedAt = performance.now();
  await order(socket, "POST", "/api/keyring/rotate", {});
  await until(
    async () => {
      await delay(200);
      const { left } = (await order(socket, "GET", "/api/keyring")) as { left: number };
      return left === 0;
    },
    "every row is sealed anew",
    120_000,
  );
  return performance.now() - startedAt;
}

const fingerprint = (token: string): string =>
  `sha256:${createHash("sha256").update(token).digest("hex").slice(0, 12)}`;

/** The tokens as they were acknowledged now, by user: which fingerprints are not too old. */
const acceptable = ({ written }: Target): Map<string, { tokens: string[]; from: number }> =>
  new Map(
    [...written].map(([name, { tokens, acknowledged }]) => [
      name,
      // The token that the seed has set is before the first of these.
      { tokens, from: acknowledged },
    ]),
  );

/** Whole, complete, every box open, and no acknowledged write missing. */
async function requireGood(
  file: string,
  dataDir: string,
  wanted: ReturnType<typeof acceptable>,
): Promise<void> {
  const copy = new DatabaseCopy(file);
  try {
    copy.requireIntegrity();
    await requireAllToOpen(copy, openerOf(requireKeys(join(dataDir, "vault.key"))));
  } finally {
    copy.close();
  }
  const db = new Database(file, { readonly: true });
  try {
    const found = db.prepare<[string], { fingerprint: string }>(
      "SELECT fingerprint FROM tokens JOIN users ON users.id = user_id WHERE name = ? AND server = ''",
    );
    for (const [name, { tokens, from }] of wanted) {
      const has = found.get(name)?.fingerprint;
      const allowed = [tokenOf(Number(name.slice(1))), ...tokens].slice(from);
      assert.ok(
        allowed.map(fingerprint).includes(has ?? ""),
        `${name}: an older token in the backup`,
      );
    }
  } finally {
    db.close();
  }
  assert.ok(!readFileSync(file).includes("canary-token-of"));
}

async function backUpEach(
  { daemon, target, dataDir }: Served,
  { folder, backups, everyMs }: ServingOptions,
): Promise<number> {
  let longestMs = 0;
  for (let turn = 0; turn < backups; turn += 1) {
    const startedAt = performance.now();
    const file = join(folder, `backup-${turn}.db`);
    const wanted = acceptable(target);
    await daemon.cli(["backup", file]);
    longestMs = Math.max(longestMs, performance.now() - startedAt);
    await requireGood(file, dataDir, wanted);
    if (turn < backups - 1) rmSync(file);
    await delay(Math.max(0, everyMs - (performance.now() - startedAt)));
  }
  return longestMs;
}

const CONTENT = [
  "SELECT id, name, state, created_at FROM users ORDER BY id",
  "SELECT * FROM access_keys ORDER BY id",
  "SELECT * FROM tokens ORDER BY user_id, server",
  "SELECT * FROM uids ORDER BY uid",
];
function contentOf(file: string): unknown[] {
  const db = new Database(file, { readonly: true });
  try {
    return CONTENT.map((sql) => db.prepare(sql).all());
  } finally {
    db.close();
  }
}

/** Deletes the data folder but the key, restores and serves again; how long that took. */
async function restoreDrill({ daemon, dataDir }: Served, backup: string): Promise<number> {
  await daemon.cli(["backup", backup]);
  const before = contentOf(backup);
  const text = readFileSync(join(dataDir, "vault.key"));
  process.kill(daemon.pid, "SIGTERM");
  await until(() => !isAlive(daemon.pid), "the daemon has ended");
  rmSync(dataDir, { recursive: true });
  const startedAt = performance.now();
  mkdirSync(dataDir, { mode: 0o700 });
  writeFileSync(join(dataDir, "vault.key"), text, { mode: 0o400 });
  await daemon.cli(["restore", backup]);
  const next = await start(dataDir);
  const tookMs = performance.now() - startedAt;
  await next.stop();
  assert.deepEqual(contentOf(join(dataDir, DATABASE_FILE)), before);
  return tookMs;
}

async function measureRound(
  { target, pause }: Served,
  seconds: number,
): Promise<{ figures: RoundFigures; loads: Load[] }> {
  await pause();
  const plain = await load(target, delay(seconds * 1000));
  const pausePlain = await pause();
  const rotation = rotate(target);
  const under = await load(target, rotation);
  const pauseRotating = await pause();
  const figures = {
    p99Ms: quantile(plain.calls, 0.99),
    p99RotatingMs: quantile(under.calls, 0.99),
    rotationMs: await rotation,
    pausePlain,
    pauseRotating,
  };
  return { figures, loads: [plain, under] };
}

/** A daemon that serves: its key is changed, it is backed up, and it is lost and restored. */
export async function drillServing(options: ServingOptions): Promise<ServingFigures> {
  const served = await serve(options);
  const { daemon, target, pause } = served;
  try {
    await load(target, delay(1000));
    const rounds: RoundFigures[] = [];
    const loads: Load[] = [];
    for (let round = 0; round < options.rounds; round += 1) {
      const measured = await measureRound(served, options.seconds);
      rounds.push(measured.figures);
      loads.push(...measured.loads);
    }
    await pause();
    const backingUp = backUpEach(served, options);
    loads.push(await load(target, backingUp));
    const pauseBackup = await pause();
    const restoreMs = await restoreDrill(served, join(options.folder, "last.db"));
    return {
      failures: loads.flatMap(({ failures }) => failures),
      calls: loads.reduce((sum, { calls }) => sum + calls.length, 0),
      writes: loads.reduce((sum, { writes }) => sum + writes.length, 0),
      rounds,
      pauseBackup,
      backupMs: await backingUp,
      restoreMs,
    };
  } finally {
    await daemon.stop();
  }
}
