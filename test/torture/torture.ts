import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { processesMarked } from "../helpers/leaks.ts";
import { until } from "../helpers/until.ts";
import { Ledger, Told } from "./ledger.ts";
import { Life } from "./life.ts";
import { pick, randomFrom } from "./random.ts";
import { Keys, administrate, call, converse } from "./workload.ts";
import type { Account } from "./ledger.ts";

const TELLS_TOKEN = path.join(import.meta.dirname, "tells-token.mjs");
const ECHO = fileURLToPath(new URL("../../bench/echo-stdio.mjs", import.meta.url));
const REPO = path.resolve(import.meta.dirname, "../..");

export interface TortureOptions {
  rounds: number;
  seed: number;
  level: "none" | "sandbox";
  /** How long what a killed daemon leaves may live where it must die with it. */
  graceMs: number;
  onRound?: (line: string) => void;
}

export interface TortureReport {
  rounds: number;
  acknowledged: number;
  /** Processes that a killed daemon left and the next one ended. */
  reaped: number;
}

/** Servers that start processes in the ways in which they get lost. */
function serversFor(): Record<string, object> {
  const echo = `"${process.execPath}" "${ECHO}"`;
  const shell = (script: string) => ({
    type: "stdio",
    command: "sh",
    args: ["-c", script],
    cwd: REPO,
    network: "none",
  });
  return {
    plain: { type: "stdio", command: process.execPath, args: [ECHO], cwd: REPO, network: "none" },
    telling: {
      type: "stdio",
      command: process.execPath,
      args: [TELLS_TOKEN],
      cwd: REPO,
      network: "none",
    },
    // As npx and its kind do: a program that waits for the real one.
    wrapped: shell(`${echo}; true`),
    scattering: shell(
      `(sleep 600 &); setsid sleep 600 >/dev/null 2>&1 & sh -c 'setsid sleep 600 >/dev/null 2>&1 & exit'; exec ${echo}`,
    ),
  };
}

/** All in one data folder: a daemon is started, worked with and killed, and the next one is asked what it found. */
export async function torture(options: TortureOptions): Promise<TortureReport> {
  const { rounds, seed, level, onRound } = options;
  const dir = mkdtempSync(path.join(tmpdir(), "torture-"));
  const configFile = path.join(dir, "supervisor.config.json");
  const servers = serversFor();
  const config = {
    dataDir: "./data",
    listen: { host: "127.0.0.1", port: 0 },
    isolation: level,
    servers,
  };
  writeFileSync(configFile, JSON.stringify({ ...config, defaultServer: "plain" }));
  const rig: Rig = {
    ...options,
    dataDir: path.join(dir, "data"),
    servers: Object.keys(servers),
    random: randomFrom(seed),
    ledger: new Ledger(),
    told: new Told(),
    keys: new Keys(),
  };
  const lives: Life[] = [];
  const begin = (): Life => {
    const life = new Life(configFile);
    lives.push(life);
    return life;
  };
  let reaped = 0;
  try {
    for (let round = 1; round <= rounds; round += 1) {
      const left = await playRound(rig, begin);
      reaped += left;
      onRound?.(
        `round ${round}: ${rig.ledger.acknowledgements} acknowledged, ${left} left by the kill`,
      );
    }
    const last = begin();
    await last.serves();
    await verify(rig, last);
    last.process.kill("SIGTERM");
    await last.ended;
    assert.deepEqual(marked(rig.dataDir), [], "an orderly end leaves nothing");
    return { rounds, acknowledged: rig.ledger.acknowledgements, reaped };
  } finally {
    for (const life of lives) life.process.kill("SIGKILL");
    for (const pid of marked(rig.dataDir)) process.kill(pid, "SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Rig extends TortureOptions {
  dataDir: string;
  servers: string[];
  random: () => number;
  ledger: Ledger;
  told: Told;
  keys: Keys;
}

/** Resolves with the number of processes that the kill left. */
async function playRound(rig: Rig, begin: () => Life): Promise<number> {
  const { random, dataDir, level, graceMs } = rig;
  const life = begin();
  const lot = random();
  if (lot < 0.15) {
    // In the middle of its start: its own repairs must bear being cut short too.
    await Promise.race([delay(random() * 400), life.ended]);
  } else {
    await life.serves();
    await verify(rig, life);
    let acknowledgements = lot < 0.4 ? Math.ceil(random() * 10) : Number.POSITIVE_INFINITY;
    const onAcknowledged = () => {
      // On the very answer, when nothing but the write itself is done.
      acknowledgements -= 1;
      if (acknowledgements === 0) life.process.kill("SIGKILL");
    };
    const work = { ...rig, life, onAcknowledged };
    const working = Promise.all([
      administrate(work, "a"),
      administrate(work, "b"),
      call(work),
      converse(work),
      converse(work),
    ]);
    const isLong = random() < 0.1;
    const time = isLong ? hearMany(rig.told) : delay(50 + random() * 700);
    await Promise.race([time, life.ended, working]);
    life.process.kill("SIGKILL");
    await working;
  }
  await life.kill();
  checkIntegrity(dataDir);
  if (level === "sandbox") {
    const isEmpty = () => marked(dataDir).length === 0;
    await until(isEmpty, "nothing of the sandboxes is left", graceMs).catch((error: unknown) => {
      throw new Error(`left by the kill: ${marked(dataDir).map(wordsOf).join("; ")}`, {
        cause: error,
      });
    });
  }
  return marked(dataDir).length;
}

/** For as long as it takes two generations to serve side by side. */
async function hearMany(told: Told): Promise<void> {
  const enough = told.answers + 30;
  await until(() => told.answers >= enough, "clients are answered", 5000).catch(() => undefined);
}

/** Before it is asked for anything: nothing of an earlier life runs, and all that was acknowledged is there. */
async function verify({ dataDir, ledger, keys, random }: Rig, life: Life): Promise<void> {
  assert.deepEqual(marked(dataDir), [], "nothing that an earlier daemon left runs");
  const { users } = (await life.control<{ users: { user: string; state: string }[] }>(
    "GET",
    "/users",
  ))!;
  const found = new Map<string, Account>();
  for (const { user, state } of users) {
    assert.equal(state, "enabled", `${user} is neither half added nor half removed`);
    const shown = (await life.control<Shown>("GET", `/users/${user}`))!;
    const fingerprint = shown.tokens.find(({ server }) => server === null)?.fingerprint ?? null;
    found.set(user, { fingerprint, keys: shown.keys.map(({ id }) => id) });
  }
  ledger.check(found);
  const isOpen = (id: string, user: string) => found.get(user)?.keys.includes(id) === true;
  for (const [id, { user }] of keys.valid) if (!isOpen(id, user)) keys.revoke(id);
  for (const [kind, isLetIn] of [
    ["valid", true],
    ["revoked", false],
  ] as const) {
    if (keys[kind].size === 0) continue;
    const { user, secret } = pick(random, [...keys[kind].values()]);
    const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
    const status = (await life.post(`/u/${user}/plain/mcp`, secret, ping))?.status;
    assert.equal(
      status === undefined ? undefined : status !== 401,
      isLetIn,
      `a ${kind} key of ${user} is answered ${status}`,
    );
  }
}

interface Shown {
  keys: { id: string }[];
  tokens: { server: string | null; fingerprint: string }[];
}

/** Of a copy, so that what the next daemon opens is what the killed one left. */
function checkIntegrity(dataDir: string): void {
  const copy = mkdtempSync(path.join(tmpdir(), "torture-copy-"));
  try {
    for (const file of ["mcp-supervisor.db", "mcp-supervisor.db-wal"])
      cpSync(path.join(dataDir, file), path.join(copy, file), { force: true });
    const database = new Database(path.join(copy, "mcp-supervisor.db"));
    assert.equal(database.pragma("integrity_check", { simple: true }), "ok");
    database.close();
  } catch (error) {
    // Killed before there was one.
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function wordsOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").slice(0, 200);
  } catch {
    return "one that has ended since";
  }
}

/** The living children of all daemons of this data folder. */
function marked(dataDir: string): number[] {
  try {
    const [folder] = readFileSync(path.join(dataDir, "children.journal"), "latin1").split(" ");
    return processesMarked(`MCP_SUPERVISOR_CHILD=${folder}:`);
  } catch {
    return [];
  }
}
