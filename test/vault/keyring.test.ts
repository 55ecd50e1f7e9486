import assert from "node:assert/strict";
import { chmodSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import { SupervisorError } from "../../src/errors.ts";
import { Manifests } from "../../src/instances/manifests.ts";
import type { Tokens } from "../../src/tokens/tokens.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { DATABASE_FILE, openStore } from "../../src/store/store.ts";
import type { SealedColumn, Store } from "../../src/store/store.ts";
import { keyIdOf } from "../../src/vault/box.ts";
import { SEALED_COLUMNS, UNSEALED_COLUMNS } from "../../src/vault/columns.ts";
import { addToKeyFile } from "../../src/vault/key-file.ts";
import { openVault } from "../../src/vault/vault.ts";
import type { Vault } from "../../src/vault/vault.ts";
import { temporaryStore } from "../helpers/store.ts";

interface Setting {
  store: Store;
  folder: string;
  file: string;
  keyFile: string;
}

function setting(t: TestContext): Setting {
  const at = temporaryStore(t);
  return { ...at, keyFile: path.join(at.folder, "vault.key") };
}

function fill(store: Store, vault: Vault, count: number): Tokens {
  const tokens = tokensOver({ store, vault });
  store.transaction(() => {
    for (let user = 0; user < count; user += 1) {
      store.users.insert(`u${user}`, 1);
      tokens.set(`u${user}`, "mail", `token-of-u${user}`);
    }
  });
  return tokens;
}

/** It ends with the test: it might be sealing still. */
function opened(t: TestContext, at: Pick<Setting, "store" | "keyFile">): Vault {
  const vault = openVault({ restFactor: 1, ...at });
  t.after(() => vault.close());
  return vault;
}

const rowsOf = async (vault: Vault) => {
  const { keys } = await vault.keyring.status();
  return Object.fromEntries(keys.map(({ id, rows }) => [id, rows]));
};

/** The same database for a second daemon; the first one is not there any more. */
function reopened(t: TestContext, { file, keyFile }: Setting): { store: Store; vault: Vault } {
  const store = openStore(file);
  t.after(() => store.close());
  return { store, vault: opened(t, { keyFile, store }) };
}

test("every column of bytes is registered with the vault, sealed or not", (t) => {
  const db = new Database(temporaryStore(t).file, { readonly: true });
  t.after(() => db.close());
  const found = db
    .prepare(
      `SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c
       WHERE m.type = 'table' AND c.type NOT IN ('TEXT', 'INTEGER', 'REAL') AND m.name NOT LIKE 'sqlite_%'`,
    )
    .pluck()
    .all() as string[];
  const sealed = SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`);
  assert.deepEqual(found.toSorted(), [...sealed, ...Object.keys(UNSEALED_COLUMNS)].toSorted());
});

test("the place of a registered column is the one that its room seals for", (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  const tokens = fill(at.store, vault, 1);
  tokens.set("u0", null, "general-token");
  const manifest = {
    greeting: Buffer.from("{}"),

    hasSessions: false,
    lists: new Map(),
  };
  const of = { user: "u0", server: "mail", revision: "r1", token: "", capabilities: "{}" };
  new Manifests({ store: at.store, vault, log: { error() {} } }).keep(
    { ...of, era: "legacy", version: undefined },
    manifest,
  );
  const found = SEALED_COLUMNS.flatMap((column) => {
    const rows = at.store.sealed(column);
    const boxes = rows.after(undefined, 10).map(({ key }) => rows.find(key)!);
    return boxes.map(({ box, place }) => [column.table, vault.open(box, place)]);
  });
  assert.deepEqual(found.slice(0, 2), [
    ["tokens", "general-token"],
    ["tokens", "token-of-u0"],
  ]);
  assert.deepEqual(
    found.slice(2).map(([table]) => table),
    ["manifests"],
  );
});

test("rotate seals with a new key at once and the rest anew, and each key opens its rows meanwhile", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  const tokens = fill(at.store, vault, 500);
  assert.deepEqual(await rowsOf(vault), { 0: 500 });
  assert.equal(vault.keyring.rotate(), 1);
  tokens.set("u7", "mail", "newer-token");
  assert.equal(tokens.secretFor("u7", "mail"), "newer-token");
  assert.equal(tokens.secretFor("u499", "mail"), "token-of-u499");
  const { left, isResealing } = await vault.keyring.status();
  assert.ok(left > 0 && isResealing);
  await vault.keyring.resealed();
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 500 });
  assert.equal(tokens.secretFor("u499", "mail"), "token-of-u499");
  assert.equal(statSync(at.keyFile).mode & 0o777, 0o400);
  assert.match(readFileSync(at.keyFile, "latin1"), /^1:[\w+/]{43}=\n0:[\w+/]{43}=\n$/);
  assert.deepEqual(
    readdirSync(at.folder).filter((name) => name.startsWith("vault.key")),
    ["vault.key"],
  );
});

interface Seams {
  /** Before rows that are sealed anew are read, one by one. */
  find?: () => void;
  /** Before a transaction that writes them. */
  write?: () => void;
  replace?: (box: Buffer) => void;
}

/** Lets a test come between the steps in which rows of that store are sealed anew. */
function watchResealing(t: TestContext, store: Store, seams: Seams): void {
  const relaxed = store.relaxed.bind(store);
  t.mock.method(store, "relaxed", (work: () => void) => {
    seams.write?.();
    relaxed(work);
  });
  const sealed = store.sealed.bind(store);
  t.mock.method(store, "sealed", (column: SealedColumn) => {
    const rows = sealed(column);
    const find = rows.find.bind(rows);
    const replace = rows.replace.bind(rows);
    rows.find = (key) => {
      seams.find?.();
      return find(key);
    };
    rows.replace = (key, old, box) => {
      seams.replace?.(box);
      replace(key, old, box);
    };
    return rows;
  });
}

test("small boxes are sealed anew in transactions of 200 rows, large ones in smaller ones", async (t) => {
  const at = setting(t);
  let sizes: number[] = [];
  watchResealing(t, at.store, {
    write: () => void sizes.push(0),
    replace: () => void (sizes[sizes.length - 1]! += 1),
  });
  const vault = opened(t, at);
  const tokens = fill(at.store, vault, 500);
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.deepEqual(sizes, [200, 200, 100]);
  sizes = [];
  for (let user = 0; user < 10; user += 1) tokens.set(`u${user}`, "mail", "x".repeat(100_000));
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.deepEqual(sizes, [3, 3, 3, 191, 200, 100]);
});

test("a token that is set while the box of the one before is sealed anew stays the newer one", async (t) => {
  const at = setting(t);
  const seams: Seams = {};
  watchResealing(t, at.store, seams);
  const vault = opened(t, at);
  const tokens = fill(at.store, vault, 10);
  seams.write = () => tokens.set("u7", "mail", "newer-token");
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.equal(tokens.secretFor("u7", "mail"), "newer-token");
  assert.equal(tokens.secretFor("u8", "mail"), "token-of-u8");
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 10 });
});

test("boxes that were made when a newer key came are not written: their key may be dropped by then", async (t) => {
  const at = setting(t);
  const seams: Seams = {};
  watchResealing(t, at.store, seams);
  const vault = opened(t, at);
  fill(at.store, vault, 10);
  const written = new Set<number | undefined>();
  seams.replace = (box) => written.add(keyIdOf(box));
  let found = 0;
  seams.find = () => {
    found += 1;
    if (found === 3) vault.keyring.rotate();
  };
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.deepEqual([...written], [2]);
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 0, 2: 10 });
});

test("a second rotation before the first is through ends with the last key everywhere", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 500);
  vault.keyring.rotate();
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 0, 2: 500 });
});

test("a daemon that ends while rows are sealed anew leaves rows that the next one opens and goes on with", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 1000);
  vault.keyring.rotate();
  await vault.close();
  const next = reopened(t, at);
  const before = await rowsOf(next.vault);
  assert.ok(before[0]! > 0);
  assert.equal(before[0]! + before[1]!, 1000);
  next.vault.keyring.resume();
  await next.vault.keyring.resealed();
  assert.deepEqual(await rowsOf(next.vault), { 0: 0, 1: 1000 });
});

test("a key that was put into the file and never reached the daemon is in use after its next start", async (t) => {
  const at = setting(t);
  fill(at.store, opened(t, at), 3);
  addToKeyFile(at.keyFile);
  const { vault } = reopened(t, at);
  vault.keyring.resume();
  await vault.keyring.resealed();
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 3 });
});

test("a key is dropped only when no row needs it, and what it sealed then opens nowhere", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 300);
  const former = readFileSync(at.keyFile);
  await assert.rejects(vault.keyring.drop(0), { code: "KEY_IN_USE" });
  vault.keyring.rotate();
  await assert.rejects(vault.keyring.drop(0), {
    code: "KEY_IN_USE",
    message: /needed by \d+ rows, and by the backups made until now/,
  });
  await assert.rejects(vault.keyring.drop(1), { code: "KEY_IN_USE" });
  await assert.rejects(vault.keyring.drop(9), { code: "KEY_NOT_FOUND" });
  await vault.keyring.resealed();
  await vault.keyring.drop(0);
  assert.match(readFileSync(at.keyFile, "latin1"), /^1:[\w+/]{43}=\n$/);
  reopened(t, at);
  chmodSync(at.keyFile, 0o600);
  writeFileSync(at.keyFile, former);
  assert.throws(() => reopened(t, at), { code: "KEY_FILE_REFUSED", message: /lacks the key 1 / });
});

/** Which of these boxes lie in a file of the folder. */
function boxesIn(folder: string, boxes: readonly Buffer[]): string[] {
  return readdirSync(folder).filter((name) => {
    const content = readFileSync(path.join(folder, name));
    return boxes.some((box) => content.includes(box.subarray(1)));
  });
}

test("once a key is dropped no file has a box of it, nor the log of the database", async (t) => {
  const at = setting(t);
  const vault = openVault({ restFactor: 1, ...at });
  fill(at.store, vault, 300);
  const rows = at.store.sealed(SEALED_COLUMNS[0]!);
  const boxes = rows.after(undefined, 300).map(({ key }) => rows.find(key)!.box);
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.deepEqual(boxesIn(at.folder, boxes), [`${DATABASE_FILE}-wal`]);
  // As a backup that is being made: it reads what was when it began.
  const reader = new Database(at.file, { readonly: true });
  t.after(() => reader.close());
  reader.exec("BEGIN; SELECT count(*) FROM tokens");
  const dropped = vault.keyring.drop(0);
  assert.equal(at.store.emptyLog(), false);
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 300 });
  reader.exec("COMMIT");
  await dropped;
  assert.deepEqual(boxesIn(at.folder, boxes), []);
});

test("where the database takes no write no key is changed, and the next rotation finds all as it was", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 3);
  const text = readFileSync(at.keyFile, "latin1");
  const full = t.mock.method(at.store.meta, "set", () => {
    throw new SupervisorError("DISK_FULL", "the database: the disk is full");
  });
  const line = `1:${Buffer.alloc(32, 9).toString("base64")}`;
  assert.throws(() => vault.keyring.rotate(), { code: "DISK_FULL" });
  assert.throws(() => vault.keyring.accept(line), { code: "DISK_FULL" });
  assert.equal(readFileSync(at.keyFile, "latin1"), text);
  assert.deepEqual(await rowsOf(vault), { 0: 3 });
  full.mock.restore();
  assert.equal(vault.keyring.rotate(), 1);
  await vault.keyring.resealed();
  assert.deepEqual(await rowsOf(vault), { 0: 0, 1: 3 });
});

test("a key that is refused takes the place of none that is kept out of the output", (t) => {
  const hidden: number[] = [];
  const vault = openVault({ restFactor: 1, ...setting(t), hide: (id) => hidden.push(id) });
  const line = `0:${Buffer.alloc(32, 9).toString("base64")}`;
  assert.throws(() => vault.keyring.accept(line), { code: "REQUEST_INVALID" });
  assert.deepEqual(hidden, [0]);
});

test("a drop that was killed before the file lost the key can be made again", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 3);
  vault.keyring.rotate();
  await vault.keyring.resealed();
  await vault.keyring.forget(0);
  const next = reopened(t, at);
  await next.vault.keyring.drop(0);
  assert.match(readFileSync(at.keyFile, "latin1"), /^1:[\w+/]{43}=\n$/);
  reopened(t, at);
});

test("a row that does not open is left as it is, and keeps its key from being dropped", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 3);
  const id = at.store.users.find("u1")!.id;
  const broken = Buffer.concat([Buffer.of(1), Buffer.alloc(40)]);
  const rows = at.store.sealed(SEALED_COLUMNS[0]!);
  rows.replace([id, "mail"], rows.find([id, "mail"])!.box, broken);
  vault.keyring.rotate();
  await vault.keyring.resealed();
  assert.deepEqual(rows.find([id, "mail"])!.box, broken);
  assert.deepEqual(await rowsOf(vault), { 0: 1, 1: 2 });
  await assert.rejects(vault.keyring.drop(0), { code: "KEY_IN_USE" });
});

test("a key file that lacks a key, or has a wrong, doubled, reordered or half-written one, is refused and nothing changes", async (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  fill(at.store, vault, 3);
  vault.keyring.rotate();
  await vault.keyring.close();
  const [one, zero] = readFileSync(at.keyFile, "latin1").trim().split("\n") as [string, string];
  const [key1, key0] = [one.slice(2), zero.slice(2)];
  const other = Buffer.alloc(32, 7).toString("base64");
  const files: [string, RegExp][] = [
    [`${one}\n`, /lacks the key 0 /],
    [`${zero}\n`, /lacks the key 1 /],
    [`${key0}\n`, /lacks the key 1 /],
    [`${key1}\n`, /is not the key that the database was written with/],
    [`1:${other}\n${zero}\n`, /its key 1 is not the key 1 /],
    [`${one}\n0:${other}\n`, /its key 0 is not the key 0 /],
    [`2:${other}\n1:${key0}\n0:${key1}\n`, /its key 1 is not/],
    [`${zero}\n${one}\n`, /out of order/],
    [`${one}\n${one}\n${zero}\n`, /holds the key 1 twice/],
    [`2:${key1}\n${one}\n${zero}\n`, /holds one key as 2 and as 1/],
    [`${one}\n0:${key0.slice(0, 20)}`, /does not hold a key in line 2/],
    [`${one}\n\n${zero}\n`, /does not hold a key in line 2/],
    [`${one}\n${key0}\n`, /does not hold a key in line 2/],
    [`01:${key1}\n${zero}\n`, /does not hold a key in line 1/],
    [`9999999999:${key1}\n${zero}\n`, /does not hold a key in line 1/],
    ["", /does not hold a key/],
  ];
  const before = readFileSync(path.join(at.folder, DATABASE_FILE));
  chmodSync(at.keyFile, 0o600);
  for (const [text, reason] of files) {
    writeFileSync(at.keyFile, text);
    assert.throws(
      () => openVault(at),
      (error: Error & { details: string[]; code: string }) => {
        assert.equal(error.code, "KEY_FILE_REFUSED");
        assert.match(error.message, reason);
        const said = [error.message, ...error.details].join("\n");
        for (const key of [key1, key0, other]) assert.ok(!said.includes(key.slice(0, 8)));
        return true;
      },
    );
    assert.equal(readFileSync(at.keyFile, "latin1"), text);
  }
  assert.deepEqual(readFileSync(path.join(at.folder, DATABASE_FILE)), before);
  writeFileSync(at.keyFile, `${one}\n${zero}\n`);
  opened(t, at);
});

test("a key file that others changed meanwhile is not written over", (t) => {
  const at = setting(t);
  const vault = opened(t, at);
  addToKeyFile(at.keyFile);
  const text = readFileSync(at.keyFile, "latin1");
  assert.throws(() => vault.keyring.rotate(), {
    code: "KEY_FILE_REFUSED",
    message: /has changed since/,
  });
  assert.equal(readFileSync(at.keyFile, "latin1"), text);
});

test("a key of a layout that is not its own opens nothing", (t) => {
  const vault = opened(t, setting(t));
  vault.keyring.rotate();
  const box = vault.seal("secret", "a");
  assert.equal(box[0], 2);
  for (const head of [Buffer.of(1), Buffer.of(2, 0, 0, 0, 0)])
    assert.throws(() => vault.open(Buffer.concat([head, box.subarray(5)]), "a"), {
      code: "STORE_FAILED",
    });
});
