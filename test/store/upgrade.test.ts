import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { Connection } from "../../src/store/connection.ts";
import { MIGRATIONS } from "../../src/store/migrations.ts";
import { temporaryFolder } from "../helpers/store.ts";

const NEXT = [...MIGRATIONS, "CREATE TABLE of_the_next_version (id INTEGER) STRICT"];

/** A database of this version with alice in it, which nobody has open. */
function earlierDatabase(t: TestContext): { folder: string; file: string } {
  const folder = path.join(temporaryFolder(t), "data");
  mkdirSync(folder, { mode: 0o700 });
  const file = path.join(folder, "mcp-supervisor.db");
  const db = new Connection(file);
  db.prepare("INSERT INTO users (name, state, created_at) VALUES ('alice', 'enabled', 0)").run();
  db.close();
  return { folder, file };
}

const copiesIn = (folder: string): string[] =>
  readdirSync(folder).filter((name) => name.includes(".schema-"));

test("before a migration the database is copied, whole, private and named after its schema", (t) => {
  const { folder, file } = earlierDatabase(t);
  new Connection(file, NEXT).close();
  const copies = copiesIn(folder);
  assert.equal(copies.length, 1);
  assert.match(
    copies[0]!,
    new RegExp(`^mcp-supervisor\\.db\\.schema-${MIGRATIONS.length}-\\d{8}T\\d{6}Z$`),
  );
  const copy = path.join(folder, copies[0]!);
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  const db = new Database(copy, { readonly: true });
  t.after(() => db.close());
  assert.deepEqual(db.prepare("SELECT name FROM users").pluck().all(), ["alice"]);
  assert.equal(db.pragma("user_version", { simple: true }), MIGRATIONS.length);
  assert.equal(db.pragma("integrity_check", { simple: true }), "ok");
});

test("an earlier version refuses the migrated database and serves the copy", (t) => {
  const { folder, file } = earlierDatabase(t);
  new Connection(file, NEXT).close();
  assert.throws(() => new Connection(file), { code: "SCHEMA_TOO_NEW" });
  const back = new Connection(path.join(folder, copiesIn(folder)[0]!));
  t.after(() => back.close());
  assert.equal(back.prepare("SELECT 1 FROM users WHERE name = 'alice'").all().length, 1);
});

test("without a migration nothing is copied", (t) => {
  const { folder, file } = earlierDatabase(t);
  new Connection(file).close();
  new Connection(file).close();
  assert.deepEqual(copiesIn(folder), []);
});

test("where no copy can be made nothing is migrated", (t) => {
  const { folder, file } = earlierDatabase(t);
  if (process.getuid?.() === 0) {
    // Root writes everywhere; a folder in the way of the name stops it, too.
    const now = Date.now();
    t.mock.timers.enable({ apis: ["Date"], now });
    const time = new Date(now).toISOString().replace(/[-:]|\.\d+/g, "");
    mkdirSync(`${file}.schema-${MIGRATIONS.length}-${time}`);
  } else chmodSync(folder, 0o500);
  assert.throws(() => new Connection(file, NEXT), { code: "STORE_FAILED" });
  chmodSync(folder, 0o700);
  t.mock.timers.reset();
  const db = new Connection(file);
  t.after(() => db.close());
  assert.equal(db.prepare("SELECT 1 FROM users").all().length, 1);
});

test("a database of before users were seen knows when each has called a tool last", (t) => {
  const folder = path.join(temporaryFolder(t), "data");
  mkdirSync(folder, { mode: 0o700 });
  const file = path.join(folder, "mcp-supervisor.db");
  const before = MIGRATIONS.slice(
    0,
    MIGRATIONS.findIndex((step) => step.includes("last_seen_at")),
  );
  const db = new Connection(file, before);
  db.prepare(
    "INSERT INTO users (name, state, created_at) VALUES ('ada', 'enabled', 5), ('bob', 'enabled', 5)",
  ).run();
  db.prepare(
    `INSERT INTO audit (at, kind, user, request_id, what, outcome) VALUES
       (9, 'call', 'ada', 'a', 'search', 'ok'), (7, 'call', 'ada', 'b', 'search', 'ok'),
       (11, 'refusal', 'ada', 'c', 'GET /', 'X'), (3, 'call', 'bob', 'd', 'search', 'ok')`,
  ).run();
  db.close();
  const now = new Connection(file);
  t.after(() => now.close());
  const rows = now.prepare("SELECT name, last_seen_at AS at FROM users ORDER BY name").all();
  assert.deepEqual(rows, [
    { name: "ada", at: 9 },
    { name: "bob", at: null },
  ]);
});
