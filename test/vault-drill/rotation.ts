import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readFileSync, writeFileSync, chmodSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { DATABASE_FILE, openDataDir, openStore } from "../../src/store/store.ts";
import { requireKeys } from "../../src/vault/key-file.ts";
import { openerOf, requireAllToOpen } from "../../src/vault/requirements.ts";
import { openVault } from "../../src/vault/vault.ts";
import { seedDataDir } from "./seed.ts";

const HOLDER = fileURLToPath(new URL("holder.ts", import.meta.url));

interface Told {
  opened?: true;
  rotated?: number;
  resealed?: number;
  ms?: number;
  failures?: string[];
}

class Holder {
  readonly child: ChildProcessWithoutNullStreams;
  readonly #told: AsyncIterator<string>;

  constructor(dataDir: string, users: number) {
    this.child = spawn(process.execPath, ["--no-warnings", HOLDER, dataDir, String(users)]);
    this.child.stderr.pipe(process.stderr);
    this.#told = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** The next thing that it tells. */
  async next(): Promise<Told> {
    const { value, done } = await this.#told.next();
    assert.ok(!done, "the holder ended by itself");
    return JSON.parse(value) as Told;
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await once(this.child, "close");
  }
}

export interface KillFigures {
  kills: number;
  /** Points at which some rows were sealed anew and some were not. */
  between: number;
  resealMs: number;
}

/** Rows by the first bytes of their boxes. */
function headsIn(dataDir: string): Map<string, number> {
  const db = new Database(join(dataDir, DATABASE_FILE));
  try {
    const rows = db
      .prepare("SELECT hex(substr(box, 1, 5)) AS head, count(*) AS n FROM tokens GROUP BY 1")
      .all() as { head: string; n: number }[];
    const byKey = new Map<string, number>();
    for (const { head, n } of rows) {
      const id = head.startsWith("01") ? "0" : String(Number.parseInt(head.slice(2), 16));
      byKey.set(id, (byKey.get(id) ?? 0) + n);
    }
    return byKey;
  } finally {
    db.close();
  }
}

async function requireEveryRow(dataDir: string, rows: number): Promise<void> {
  const { store, close } = (({ store: opened, ...rest }) => ({
    store: opened,
    close: () => rest.close(),
  }))(openDataDir(dataDir));
  try {
    openVault({ keyFile: join(dataDir, "vault.key"), store });
    await requireAllToOpen(store, openerOf(requireKeys(join(dataDir, "vault.key"))));
    assert.equal(
      [...headsIn(dataDir).values()].reduce((sum, n) => sum + n, 0),
      rows,
    );
  } finally {
    close();
  }
}

/**
 * Rotates under reads and writes and kills the holder at random points of it, as often as asked. After
 * each, everything opens; at the end the old keys are dropped, and alone open nothing.
 */
export async function killWhileRotating(
  dataDir: string,
  { rows, kills, spreadMs }: { rows: number; kills: number; spreadMs: number },
): Promise<KillFigures> {
  seedDataDir(dataDir, { users: rows });
  const keyFile = join(dataDir, "vault.key");
  const first = readFileSync(keyFile);
  let between = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const holder = new Holder(dataDir, rows);
    await holder.next();
    holder.child.stdin.write("rotate\n");
    await delay(Math.random() * spreadMs);
    await holder.kill();
    if (headsIn(dataDir).size > 1) between += 1;
    await requireEveryRow(dataDir, rows);
  }
  const last = new Holder(dataDir, rows);
  await last.next();
  last.child.stdin.write("rotate\n");
  const { rotated } = await last.next();
  const { failures, ms = 0 } = await last.next();
  assert.deepEqual(failures, []);
  await last.kill();
  assert.deepEqual([...headsIn(dataDir)], [[String(rotated), rows]]);
  await dropAllBut(dataDir, rotated!);
  await requireNothingOpens(dataDir, first);
  return { kills, between, resealMs: ms };
}

async function dropAllBut(dataDir: string, newest: number): Promise<void> {
  const opened = openDataDir(dataDir);
  try {
    const { keyring } = openVault({ keyFile: join(dataDir, "vault.key"), store: opened.store });
    for (const { id } of (await keyring.status()).keys) if (id !== newest) await keyring.drop(id);
  } finally {
    opened.close();
  }
}

/** A copy of the database with the first key alone: it is refused, and no box opens. */
async function requireNothingOpens(dataDir: string, firstKey: Buffer): Promise<void> {
  const copy = join(dataDir, "stolen.db");
  const keyFile = join(dataDir, "stolen.key");
  copyFileSync(join(dataDir, DATABASE_FILE), copy);
  writeFileSync(keyFile, firstKey, { mode: 0o400 });
  chmodSync(copy, 0o600);
  const store = openStore(copy);
  try {
    assert.throws(() => openVault({ keyFile, store }), { code: "KEY_FILE_REFUSED" });
    const rows = (store.tokens.hasAny() && headsIn(dataDir)) as Map<string, number>;
    const all = [...rows.values()].reduce((sum, n) => sum + n, 0);
    await assert.rejects(requireAllToOpen(store, openerOf(requireKeys(keyFile))), {
      message: new RegExp(`^${all} sealed rows? cannot be opened`),
    });
  } finally {
    store.close();
  }
}
