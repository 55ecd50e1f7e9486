import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { Connection } from "../../src/store/connection.ts";
import { openStore } from "../../src/store/store.ts";
import type { AuditRow } from "../../src/store/store.ts";
import type { SupervisorError } from "../../src/errors.ts";
import { temporaryFolder, temporaryStore } from "../helpers/store.ts";

const modeOf = (file: string): number => statSync(file).mode & 0o777;

/** Whether any file of the folder holds the text. */
function isOnDisk(folder: string, text: string | Buffer): boolean {
  return readdirSync(folder).some((name) => readFileSync(path.join(folder, name)).includes(text));
}

test("the files are made for the owner alone, whatever the umask", (t) => {
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const folder = path.join(temporaryFolder(t), "deep", "data");
  const store = openStore(path.join(folder, "x.db"));
  t.after(() => store.close());
  store.users.insert("ada", 1);
  assert.equal(modeOf(folder), 0o700);
  assert.deepEqual(readdirSync(folder).toSorted(), ["x.db", "x.db-shm", "x.db-wal"]);
  for (const name of readdirSync(folder)) assert.equal(modeOf(path.join(folder, name)), 0o600);
});

test("a folder in which others may write is refused and left as it is", (t) => {
  const folder = path.join(temporaryFolder(t), "data");
  mkdirSync(folder);
  for (const mode of [0o770, 0o707, 0o722]) {
    chmodSync(folder, mode);
    assert.throws(() => openStore(path.join(folder, "x.db")), { code: "CONFIG_INVALID" });
    assert.equal(modeOf(folder), mode);
  }
  assert.deepEqual(readdirSync(folder), []);
  chmodSync(folder, 0o755);
  openStore(path.join(folder, "x.db")).close();
});

test("a database that others may read or write is refused and left as it is", (t) => {
  const file = path.join(temporaryFolder(t), "x.db");
  openStore(file).close();
  for (const mode of [0o640, 0o604, 0o620]) {
    chmodSync(file, mode);
    assert.throws(
      () => openStore(file),
      (error: SupervisorError) => {
        assert.equal(error.code, "CONFIG_INVALID");
        assert.match(error.details[0]!, /chmod 600/);
        return true;
      },
    );
    assert.equal(modeOf(file), mode);
  }
});

test("after a write the connection still has the settings that writes and deletes are promised on", (t) => {
  const connection = new Connection(path.join(temporaryFolder(t), "x.db"));
  t.after(() => connection.close());
  connection
    .prepare("INSERT INTO users (name, state, created_at) VALUES ('ada', 'enabled', 1)")
    .run();
  const setting = (name: string): unknown =>
    Object.values(connection.prepare<Record<string, unknown>>(`PRAGMA ${name}`).get()!)[0];
  assert.equal(setting("journal_mode"), "wal");
  assert.equal(setting("synchronous"), 2);
  assert.equal(setting("secure_delete"), 1);
  assert.equal(setting("trusted_schema"), 0);
  assert.equal(setting("foreign_keys"), 1);
});

test("a database of a newer version is refused and not touched", (t) => {
  const file = path.join(temporaryFolder(t), "x.db");
  openStore(file).close();
  const raw = new Database(file);
  raw.pragma("user_version = 99");
  raw.close();
  const before = readFileSync(file);
  assert.throws(
    () => openStore(file),
    (error: SupervisorError) => {
      assert.equal(error.code, "SCHEMA_TOO_NEW");
      assert.equal(error.exit, 78);
      assert.match(error.message, /schema 99, this version knows \d/);
      return true;
    },
  );
  assert.deepEqual(readFileSync(file), before);
});

test("a database that exists is opened with what is in it", (t) => {
  const { file, store } = temporaryStore(t);
  store.users.insert("ada", 7);
  const again = openStore(file);
  t.after(() => again.close());
  assert.deepEqual(again.users.find("ada"), {
    id: 1,
    name: "ada",
    state: "enabled",
    createdAt: 7,
    fullName: null,
    email: null,
    applied: null,
  });
});

test("a file that is no database is refused with a reason", (t) => {
  const file = path.join(temporaryFolder(t), "x.db");
  writeFileSync(file, "this is not a database, but long enough to be looked at\n".repeat(100), {
    mode: 0o600,
  });
  assert.throws(() => openStore(file), {
    code: "STORE_FAILED",
    message: "the database: the file is not a database",
  });
});

test("a place where no folder can be made is refused with a reason", (t) => {
  const file = path.join(temporaryFolder(t), "file");
  writeFileSync(file, "");
  assert.throws(() => openStore(path.join(file, "data", "x.db")), {
    code: "STORE_FAILED",
    message: /cannot be opened or made \(ENOTDIR\)/,
  });
});

test("a full disk says so, and writes work again when there is room", (t) => {
  const connection = new Connection(path.join(temporaryFolder(t), "x.db"));
  t.after(() => connection.close());
  const insert = connection.prepare("INSERT INTO meta (name, value) VALUES (?, ?)");
  connection.prepare("PRAGMA max_page_count = 20").get();
  assert.throws(() => insert.run("big", Buffer.alloc(1 << 20)), {
    code: "DISK_FULL",
    message: "the database: the disk is full",
  });
  connection.prepare("PRAGMA max_page_count = 10000").get();
  assert.equal(insert.run("big", Buffer.alloc(1 << 20)), 1);
});

test("a refusal by SQLite names no value", (t) => {
  const { store } = temporaryStore(t);
  store.users.insert("ada", 1);
  assert.throws(() => store.users.insert("ada", 1), {
    code: "STORE_FAILED",
    message: "the database: refused (SQLITE_CONSTRAINT_UNIQUE)",
  });
});

test("a transaction that fails leaves nothing behind", (t) => {
  const { store } = temporaryStore(t);
  assert.throws(() =>
    store.transaction(() => {
      store.users.insert("ada", 1);
      throw new Error("later step");
    }),
  );
  assert.deepEqual(store.users.list(), []);
});

test("a deleted user takes keys and tokens along, and nothing of them stays in the file", (t) => {
  const folder = temporaryFolder(t);
  const store = openStore(path.join(folder, "x.db"));
  const box = Buffer.from("sealed-box-of-a-token");
  const hash = Buffer.from("hash-of-an-access-key");
  const { id: userId } = store.users.insert("zebra-canary", 1);
  const key = {
    id: "key_1",
    userId,
    prefix: "mcps_cana",
    label: null,
    createdAt: 1,
    expiresAt: null,
  };
  store.accessKeys.insert(key, hash);
  const token = { server: "", fingerprint: "sha256:0", setAt: 1, expiresAt: null };
  store.tokens.set(userId, token, box);
  assert.equal(isOnDisk(folder, box), true);
  store.users.delete(userId);
  assert.equal(store.accessKeys.find("key_1"), undefined);
  assert.equal(store.tokens.hasAny(), false);
  store.close();
  for (const trace of [box, hash, "zebra-canary", "mcps_cana"])
    assert.equal(isOnDisk(folder, trace), false);
});

test("the id of a deleted user is not given out again", (t) => {
  const { store } = temporaryStore(t);
  const { id } = store.users.insert("ada", 1);
  store.users.delete(id);
  assert.notEqual(store.users.insert("ada", 2).id, id);
});

test("a user was last seen at the latest call of a tool, and not at one of an earlier user of the name", (t) => {
  const { store } = temporaryStore(t);
  const entry = (at: number, what: Partial<AuditRow> = {}): AuditRow => ({
    at,
    kind: "call",
    user: "ada",
    server: "mail",
    requestId: "r",
    who: null,
    what: "search",
    outcome: "ok",
    reason: null,
    durationMs: 1,
    bytesIn: 1,
    bytesOut: 1,
    ...what,
  });
  store.users.insert("ada", 100);
  store.users.insert("bob", 100, { fullName: "Bob Ross", email: "bob@example.com" });
  store.audit.insertAll([entry(50)]);
  const seen = () => store.users.overview().map(({ name, lastSeenAt }) => [name, lastSeenAt]);
  assert.deepEqual(seen(), [
    ["ada", null],
    ["bob", null],
  ]);
  store.audit.insertAll([
    entry(300),
    entry(200),
    entry(400, { kind: "refusal" }),
    entry(400, { kind: "admin" }),
    entry(500, { user: null }),
  ]);
  assert.deepEqual(seen(), [
    ["ada", 300],
    ["bob", null],
  ]);
});

test("the overview has the first end of keys and tokens, and counts no revoked key", (t) => {
  const { store } = temporaryStore(t);
  const ada = store.users.insert("ada", 0, { fullName: "Ada Lovelace", email: null });
  store.users.insert("bob", 0);
  const key = (id: string, expiresAt: number | null): void =>
    store.accessKeys.insert(
      { id, userId: ada.id, prefix: "mcps_", label: null, createdAt: 0, expiresAt },
      Buffer.from(id),
    );
  key("one", 900);
  key("two", 800);
  key("three", 10);
  key("four", null);
  store.accessKeys.revoke("three", 5);
  const token = { fingerprint: "f", setAt: 0 };
  store.tokens.set(ada.id, { ...token, server: "", expiresAt: null }, Buffer.from("box"));
  store.tokens.set(ada.id, { ...token, server: "mail", expiresAt: 700 }, Buffer.from("box"));
  const [first, second] = store.users.overview();
  assert.deepEqual(first, {
    ...ada,
    lastSeenAt: null,
    keys: 3,
    keyExpiresAt: 800,
    tokens: 2,
    tokenExpiresAt: 700,
    tokenServers: "mail",
  });
  assert.deepEqual([second?.keys, second?.keyExpiresAt, second?.tokens], [0, null, 0]);
  const soon = store.accessKeys.expiring(0, 850);
  assert.deepEqual(
    soon.map(({ id, user }) => [user, id]),
    [["ada", "two"]],
  );
  assert.deepEqual(store.accessKeys.expiring(800, 850), [], "what has ended does not end soon");
});
