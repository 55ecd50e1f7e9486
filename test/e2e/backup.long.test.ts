import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createSecretKey } from "node:crypto";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { MIGRATIONS } from "../../src/store/migrations.ts";
import { seal } from "../../src/vault/box.ts";
import { requireKeys } from "../../src/vault/key-file.ts";
import { runCli, startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { fixture } from "../helpers/fixtures.ts";
import { PROGRAM } from "../helpers/program.ts";
import { onSmallDisk } from "../helpers/small-disk.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const CONFIG = { defaultServer: "echo", servers: { echo: fixture("sse", "echo-sse") } };
const CANARY = "canary-token-7f3a9c51e0";
const DATABASE = "mcp-supervisor.db";

const isRoot = process.getuid?.() === 0;

/** What is in a database, of all that an admin would miss. */
function contentOf(file: string): object {
  const db = new Database(file, { readonly: true });
  try {
    return {
      users: db.prepare("SELECT id, name, state, created_at FROM users ORDER BY id").all(),
      keys: db.prepare("SELECT * FROM access_keys ORDER BY id").all(),
      tokens: db.prepare("SELECT * FROM tokens ORDER BY user_id, server").all(),
      uids: db.prepare("SELECT * FROM uids ORDER BY uid").all(),
    };
  } finally {
    db.close();
  }
}

async function backedUp(t: TestContext): Promise<{ daemon: TestDaemon; file: string }> {
  const daemon = await startDaemon(t, { config: CONFIG });
  await daemon.addUser("ada", CANARY);
  await daemon.addUser("bob", "token-of-bob");
  const file = join(daemon.dir, "backup.db");
  (await daemon.cli(["backup", file])).json();
  return { daemon, file };
}

/** Ends the daemon and empties its folder of all but the key. */
async function loseData(daemon: TestDaemon): Promise<void> {
  const { dataDir } = daemon;
  await daemon.stop();
  const key = readFileSync(join(dataDir, "vault.key"));
  rmSync(dataDir, { recursive: true });
  mkdirSync(dataDir, { mode: 0o700 });
  writeFileSync(join(dataDir, "vault.key"), key, { mode: 0o400 });
}

test("a backup of a daemon that serves is one private file of ciphertext, and restores to what was", async (t) => {
  const { daemon, file } = await backedUp(t);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.ok(!readFileSync(file).includes(CANARY));
  assert.ok(!readFileSync(file).includes(readFileSync(join(daemon.dataDir, "vault.key"))));
  assert.deepEqual(
    readdirSync(daemon.dir).filter((name) => name.startsWith("backup.db")),
    ["backup.db"],
  );
  assert.deepEqual(
    readdirSync(daemon.dataDir).filter((name) => name.includes(".backup-")),
    [],
  );
  const before = contentOf(file);
  await loseData(daemon);
  const restored = (await daemon.cli(["restore", file])).json<Record<string, unknown>>();
  assert.equal(restored["users"], 2);
  assert.equal(restored["keys"], 2);
  assert.ok(Math.abs(Number(restored["madeAt"]) - Date.now()) < 60_000);
  assert.deepEqual(contentOf(join(daemon.dataDir, DATABASE)), before);
  assert.equal(statSync(join(daemon.dataDir, DATABASE)).mode & 0o777, 0o600);
  // As a daemon that was killed over a backup leaves.
  writeFileSync(join(daemon.dataDir, `${DATABASE}.backup-0123456789ab`), "a part");
  const next = await startDaemon(t, { config: CONFIG, dir: daemon.dir });
  assert.ok(!readdirSync(daemon.dataDir).some((name) => name.includes(".backup-")));
  const { entries } = (await next.cli(["audit"])).json<{ entries: { what: string }[] }>();
  assert.ok(entries.some(({ what }) => what === "restore"));
  const { users } = (await next.cli(["user", "list"])).json<{ users: { user: string }[] }>();
  assert.deepEqual(
    users.map(({ user }) => user),
    ["ada", "bob"],
  );
});

test("a backup is made without a daemon, and to stdout, and over no file", async (t) => {
  const { daemon, file } = await backedUp(t);
  const again = await daemon.cli(["backup", file]);
  assert.equal(again.error().type, "BACKUP_REFUSED");
  const nowhere = await daemon.cli(["backup", join(daemon.dir, "nowhere", "x.db")]);
  assert.match(nowhere.error().message, /\/nowhere: the backup cannot be written there \(ENOENT\)/);
  await daemon.stop();
  const offline = join(daemon.dir, "offline.db");
  (await daemon.cli(["backup", offline])).json();
  assert.deepEqual(contentOf(offline), contentOf(file));
  const piped = spawnSync(process.execPath, [
    PROGRAM,
    "--config",
    daemon.configPath,
    "backup",
    "-",
  ]);
  assert.equal(piped.status, 0, piped.stderr.toString());
  const fromPipe = join(daemon.dir, "piped.db");
  writeFileSync(fromPipe, piped.stdout, { mode: 0o600 });
  assert.deepEqual(contentOf(fromPipe), contentOf(file));
  assert.match(piped.stderr.toString(), /without which no token opens/);

  const scratch = join(daemon.dir, "scratch");
  mkdirSync(scratch);
  for (const [to, reason] of [
    ["> /dev/full", /only a part of the backup \(ENOSPC\)/],
    ["| :", /only a part of the backup \(EPIPE\)/],
  ] as const) {
    const script = `{ "$@"; echo "exit $?" >&2; } ${to}`;
    const program = [process.execPath, PROGRAM, "--config", daemon.configPath, "backup", "-"];
    const env = { ...process.env, TMPDIR: scratch };
    const { stderr } = spawnSync("sh", ["-c", script, "sh", ...program], { encoding: "utf8", env });
    assert.match(stderr, reason);
    assert.match(stderr, /exit 1\n$/);
  }
  assert.deepEqual(readdirSync(scratch), []);
});

/** As on file systems that know no links. */
const NO_LINKS = `data:text/javascript,${encodeURIComponent(`
  import fs from "node:fs";
  import { syncBuiltinESMExports } from "node:module";
  fs.linkSync = () => { throw Object.assign(new Error(), { code: "EPERM" }); };
  syncBuiltinESMExports();
`)}`;

test("without links too a backup takes the name of no other file", async (t) => {
  const { daemon, file } = await backedUp(t);
  await daemon.stop();
  const folder = join(daemon.dir, "linkless");
  mkdirSync(folder);
  const env = { NODE_OPTIONS: `--import ${NO_LINKS}` };
  const made = join(folder, "made.db");
  (await daemon.cli(["backup", made], { env })).json();
  assert.deepEqual(contentOf(made), contentOf(file));
  assert.equal(statSync(made).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(folder), ["made.db"]);
});

test("a backup that a signal ends, or that comes in half, leaves nothing", async (t) => {
  const folder = temporaryFolder(t);
  const config = join(folder, "supervisor.config.json");
  writeFileSync(config, JSON.stringify({ dataDir: "./data", ...CONFIG }));
  mkdirSync(join(folder, "data"), { mode: 0o700 });
  let half: ServerResponse | undefined;
  const daemon = createServer((_req, res) => {
    half = res.writeHead(200, { "content-length": 1000 });
    half.write("SQLite format 3");
  });
  daemon.listen(join(folder, "data", "control.sock"));
  await once(daemon, "listening");
  t.after(() => daemon.close());
  for (const end of ["signal", "half"] as const) {
    const to = join(folder, end);
    mkdirSync(to);
    const argv = ["--no-warnings", PROGRAM, "--config", config, "backup", join(to, "made.db")];
    const child = spawn(process.execPath, argv);
    await until(() => readdirSync(to).length > 0, "the backup is being written");
    if (end === "signal") child.kill("SIGINT");
    else half!.destroy();
    const [code, signal] = (await once(child, "close")) as [number | null, string | null];
    assert.deepEqual([code, signal], end === "signal" ? [null, "SIGINT"] : [1, null]);
    assert.deepEqual(readdirSync(to), []);
  }
});

test("restore with --revoke-keys lets no key in that the backup holds, and no JWT of before", async (t) => {
  const { daemon, file } = await backedUp(t);
  await loseData(daemon);
  const { revoked, keys } = (await daemon.cli(["restore", file, "--revoke-keys"])).json<
    Record<string, number>
  >();
  assert.deepEqual({ revoked, keys }, { revoked: 2, keys: 0 });
  const db = new Database(join(daemon.dataDir, DATABASE), { readonly: true });
  const count = db.prepare("SELECT count(jwts_revoked_before) AS n, count(*) AS all_ FROM users");
  const { n, all_ } = count.get() as { n: number; all_: number };
  db.close();
  assert.deepEqual([n, n > 0], [all_, true], "JWTs that are out open nothing");
  const next = await startDaemon(t, { config: CONFIG, dir: daemon.dir });
  const listed = (await next.cli(["key", "list", "ada"])).json<{ keys: { revokedAt: number }[] }>();
  assert.ok(listed.keys.every(({ revokedAt }) => revokedAt !== null));
});

test("a refresh token comes back as one that may have been used since", async (t) => {
  const { daemon, file } = await backedUp(t);
  await loseData(daemon);
  const [key] = requireKeys(join(daemon.dataDir, "vault.key"));
  const place = "grants|ada|echo|sso|1";
  const box = seal(key!.id, createSecretKey(key!.bytes), "a-refresh-token", place);
  const backup = new Database(file);
  backup
    .prepare(
      `INSERT INTO grants (user_id, server, provider, box, generation, state, since)
       SELECT id, 'echo', 'sso', ?, 1, 'idle', 1 FROM users WHERE name = 'ada'`,
    )
    .run(box);
  backup.close();
  (await daemon.cli(["restore", file])).json();
  const db = new Database(join(daemon.dataDir, DATABASE));
  const reasons = db.prepare("SELECT reason FROM grants").pluck().all();
  db.close();
  assert.deepEqual(reasons, ["restored"]);
});

test("restore refuses a folder in use, one with a database, and what is no whole backup, and writes nothing", async (t) => {
  const { daemon, file } = await backedUp(t);
  const { dataDir, dir } = daemon;
  const refused = async (what: string): Promise<string> =>
    (await daemon.cli(["restore", what])).error().type;
  assert.equal(await refused(file), "ALREADY_RUNNING");
  await daemon.stop();
  const live = join(dir, "live.db");
  copyFileSync(join(dataDir, DATABASE), live);
  assert.equal(await refused(file), "RESTORE_REFUSED");
  await loseData(daemon);
  for (const end of ["-wal", "-journal"]) {
    const log = join(dataDir, `${DATABASE}${end}`);
    writeFileSync(log, "what an earlier database has left");
    assert.equal(await refused(file), "RESTORE_REFUSED");
    rmSync(log);
  }

  const whole = readFileSync(file);
  const broken = (name: string, content: Buffer): string => {
    writeFileSync(join(dir, name), content, { mode: 0o600 });
    return join(dir, name);
  };
  const newer = broken("newer.db", whole);
  const db = new Database(newer);
  db.pragma("user_version = 99");
  db.close();
  const changed = Buffer.from(whole);
  changed.fill(0x55, 4096 * 3, 4096 * 4);
  assert.equal(await refused(live), "STORE_FAILED");
  assert.equal(await refused(newer), "SCHEMA_TOO_NEW");
  assert.equal(
    await refused(broken("cut.db", whole.subarray(0, whole.length / 2))),
    "STORE_FAILED",
  );
  assert.equal(await refused(broken("changed.db", changed)), "STORE_FAILED");
  assert.equal(
    await refused(broken("text.db", Buffer.alloc(9000, "no database "))),
    "STORE_FAILED",
  );
  assert.equal(await refused(join(dir, "nowhere.db")), "STORE_FAILED");
  const unopened = broken("unopened.db", whole);
  const other = new Database(unopened);
  other.prepare("UPDATE tokens SET box = zeroblob(60) WHERE user_id = 2").run();
  other.close();
  assert.equal(await refused(unopened), "STORE_FAILED");
  const pipe = join(dir, "pipe");
  spawnSync("mkfifo", [pipe]);
  for (const what of [pipe, dir, "-"]) assert.equal(await refused(what), "RESTORE_REFUSED");

  const key = join(dataDir, "vault.key");
  const right = readFileSync(key);
  renameSync(key, join(dir, "kept.key"));
  assert.equal(await refused(file), "KEY_FILE_REFUSED");
  writeFileSync(key, `${Buffer.alloc(32, 1).toString("base64")}\n`, { mode: 0o400 });
  assert.equal(await refused(file), "KEY_FILE_REFUSED");
  assert.deepEqual(readdirSync(dataDir), ["vault.key"]);
  chmodSync(key, 0o600);
  writeFileSync(key, right);
  (await daemon.cli(["restore", file])).json();
});

/** Makes a backup one of the first version, with what that knew of; returns its tokens. */
function ofFirstVersion(file: string): unknown[] {
  const old = new Database(`${file}.old`);
  old.exec(MIGRATIONS[0]!);
  old.pragma("user_version = 1");
  const tables = old
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .pluck()
    .all() as string[];
  old.prepare("ATTACH ? AS backup").run(file);
  for (const table of tables) {
    const columns = old.prepare("SELECT name FROM pragma_table_info(?)").pluck().all(table);
    const names = columns.join();
    old.exec(`INSERT INTO main.${table} (${names}) SELECT ${names} FROM backup.${table}`);
  }
  const tokens = old.prepare("SELECT * FROM tokens ORDER BY user_id, server").all();
  old.close();
  renameSync(`${file}.old`, file);
  return tokens;
}

test("a backup of an earlier version is brought up to date", async (t) => {
  const { daemon, file } = await backedUp(t);
  await loseData(daemon);
  const tokens = ofFirstVersion(file);
  const before = readFileSync(file);
  (await daemon.cli(["restore", file])).json();
  assert.deepEqual(readFileSync(file), before, "the backup itself stays as it is");
  assert.deepEqual(readdirSync(daemon.dataDir).toSorted(), ["daemon.lock", DATABASE, "vault.key"]);
  const { tokens: restored } = contentOf(join(daemon.dataDir, DATABASE)) as { tokens: unknown };
  assert.deepEqual(restored, tokens);
  const next = await startDaemon(t, { config: CONFIG, dir: daemon.dir });
  const { keys } = (await next.cli(["keyring", "status"])).json<{ keys: unknown }>();
  assert.deepEqual(keys, [{ id: 0, rows: 2 }]);
});

test("a restore that is killed leaves nothing that the next one would use", async (t) => {
  const { daemon, file } = await backedUp(t);
  await loseData(daemon);
  const argv = ["--no-warnings", PROGRAM, "--config", daemon.configPath, "restore", file];
  const draft = (): boolean =>
    readdirSync(daemon.dataDir).some((name) => name.includes(".backup-"));
  const stopAtDraft = `data:text/javascript,${encodeURIComponent(`
    import fs from "node:fs";
    import { syncBuiltinESMExports } from "node:module";
    fs.renameSync = () => process.kill(process.pid, "SIGKILL");
    syncBuiltinESMExports();
  `)}`;
  const env = { ...process.env, NODE_OPTIONS: `--import ${stopAtDraft}` };
  assert.equal(spawnSync(process.execPath, argv, { env }).signal, "SIGKILL");
  assert.ok(draft());
  assert.ok(!existsSync(join(daemon.dataDir, DATABASE)));
  (await daemon.cli(["restore", file])).json();
  assert.ok(!draft());
});

test("a backup from before a rotation needs the key of then, and says which", async (t) => {
  const { daemon, file } = await backedUp(t);
  await daemon.stop();
  const keepIn = join(daemon.dir, "key-0");
  (await daemon.cli(["keyring", "rotate"])).json();
  (await daemon.cli(["keyring", "drop", "0", "--keep-in", keepIn])).json();
  await loseData(daemon);
  const refused = (await daemon.cli(["restore", file])).error();
  assert.equal(refused.type, "KEY_FILE_REFUSED");
  assert.match(refused.message, /lacks the key 0 /);
  const keyFile = join(daemon.dataDir, "vault.key");
  chmodSync(keyFile, 0o600);
  const kept = readFileSync(keepIn, "latin1").trim();
  writeFileSync(keyFile, `${readFileSync(keyFile, "latin1")}0:${kept}\n`);
  (await daemon.cli(["restore", file])).json();
  const next = await startDaemon(t, { config: CONFIG, dir: daemon.dir });
  const { keys } = (await next.cli(["keyring", "status"])).json<{ keys: { id: number }[] }>();
  assert.deepEqual(
    keys.map(({ id }) => id),
    [1, 0],
  );
});

test("a row that does not open is named, and no backup is made of it", async (t) => {
  const { daemon } = await backedUp(t);
  await daemon.stop();
  const db = new Database(join(daemon.dataDir, DATABASE));
  db.prepare("UPDATE tokens SET box = x'01ff' WHERE user_id = 2").run();
  db.close();
  const file = join(daemon.dir, "second.db");
  const refused = (await daemon.cli(["backup", file])).error();
  assert.match(refused.message, /1 sealed row cannot be opened, the first of them tokens\|bob\|/);
  assert.equal(existsSync(file), false);
});

test("a full disk leaves nothing of a backup or a restore", { skip: !isRoot }, async (t) => {
  const { daemon, file } = await backedUp(t);
  const { configPath, dataDir, dir } = daemon;
  const place = join(dir, "small");
  const full = onSmallDisk({ place, size: "16k" }, configPath, "backup", join(place, "x.db"));
  assert.match(full.said, /DISK_FULL/);
  assert.deepEqual([full.code, full.files], [1, []]);
  await daemon.stop();

  // The copy is made in the data folder first.
  const content = join(dir, "kept");
  renameSync(dataDir, content);
  const made = join(dir, "y.db");
  const crowded = onSmallDisk(
    { place: dataDir, size: "256k", content, room: "64K" },
    configPath,
    "backup",
    made,
  );
  assert.match(crowded.said, /DISK_FULL.*the copy in .*\/data: the disk is full/);
  assert.equal(crowded.code, 1);
  assert.deepEqual(crowded.files, readdirSync(content));
  assert.equal(existsSync(made), false);

  const config = join(dir, "small.json");
  const parsed = JSON.parse(readFileSync(configPath, "utf8")) as object;
  writeFileSync(config, JSON.stringify({ ...parsed, keyFile: join(content, "vault.key") }));
  const lost = onSmallDisk({ place: dataDir, size: "24k" }, config, "restore", file);
  assert.match(lost.said, /DISK_FULL/);
  assert.deepEqual([lost.code, lost.files], [1, ["daemon.lock"]]);
});

test("a restore into a folder that was not there leaves none when it fails", async (t) => {
  const { daemon, file } = await backedUp(t);
  await daemon.stop();
  rmSync(daemon.dataDir, { recursive: true });
  const asked = await runCli(["--config", daemon.configPath, "--json", "restore", file]);
  assert.equal(asked.error().type, "KEY_FILE_REFUSED");
  assert.equal(existsSync(daemon.dataDir), false);
});
