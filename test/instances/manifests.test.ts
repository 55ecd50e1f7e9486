import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Manifests } from "../../src/instances/manifests.ts";
import type { Manifest, ManifestKey } from "../../src/instances/manifests.ts";
import { DATABASE_FILE, openStore } from "../../src/store/store.ts";
import { SEALED_COLUMNS } from "../../src/vault/columns.ts";
import { openVault } from "../../src/vault/vault.ts";
import { markOf } from "../../src/tokens/tokens.ts";
import { temporaryStore } from "../helpers/store.ts";

const LIMITS = { perOwner: 8, totalBytes: 2 ** 30 };
const TOOLS = "tools/list";

function setting(t: TestContext, users = ["ada", "bob"]) {
  const { store, folder, file } = temporaryStore(t);
  for (const user of users) store.users.insert(user, 1);
  const keyFile = path.join(folder, "vault.key");
  const vault = openVault({ keyFile, store });
  const failures: unknown[] = [];
  const log = { error: (fields: unknown) => void failures.push(fields) };
  const manifests = new Manifests({ store, vault, log });
  return { store, folder, file, keyFile, vault, log, failures, manifests };
}

/** The same database as the next daemon finds it. */
function nextDaemon(t: TestContext, { file, keyFile, log }: ReturnType<typeof setting>) {
  const store = openStore(file);
  t.after(() => store.close());
  return new Manifests({ store, vault: openVault({ keyFile, store }), log });
}

const key = (changes: Partial<ManifestKey> = {}): ManifestKey => ({
  user: "ada",
  server: "mail",
  revision: "r1",
  token: markOf("ada-token"),
  era: "legacy",
  capabilities: "{}",
  version: undefined,
  ...changes,
});

const manifest = (name = "send", bytes = Buffer.from(`{"tools":["${name}"]}`)): Manifest => ({
  greeting: Buffer.from('{"protocolVersion":"2025-06-18"}'),
  hasSessions: true,
  lists: new Map([[TOOLS, [bytes]]]),
});

const toolsIn = (found: Manifest | undefined): string | undefined =>
  found?.lists.get(TOOLS)?.map(String).join();

test("what a child showed is found as it was kept, byte for byte, also by the next daemon", (t) => {
  const at = setting(t);
  // As a server may write it: spaces, escapes, line breaks, and what is no UTF-8.
  const bytes = Buffer.concat([
    Buffer.from('{ "tools":\r\n["\\u00e9é\u2028"]}'),
    Buffer.of(0xff, 0),
  ]);
  const kept = { ...manifest(), lists: new Map([[TOOLS, [bytes, Buffer.from("{}")]]]) };
  assert.equal(at.manifests.find(key()), undefined);
  at.manifests.keep(key(), kept);
  assert.deepEqual(at.manifests.find(key()), kept);
  assert.deepEqual(nextDaemon(t, at).find(key()), kept);
});

test("any difference in what it stands for, and there is none", (t) => {
  const at = setting(t);
  at.manifests.keep(key(), manifest());
  const others: Partial<ManifestKey>[] = [
    { user: "bob" },
    { server: "notes" },
    { revision: "r2" },
    { token: markOf("another-token") },
    { token: markOf(undefined) },
    { era: "modern" },
    { capabilities: '{"roots":{}}' },
    { version: "2025-06-18" },
  ];
  for (const other of others)
    for (const manifests of [at.manifests, nextDaemon(t, at)])
      assert.equal(manifests.find(key(other)), undefined, JSON.stringify(other));
  assert.equal(toolsIn(at.manifests.find(key())), '{"tools":["send"]}');
});

test("the later one takes the place of the one before, and one that is too large leaves none", (t) => {
  const at = setting(t);
  at.manifests.keep(key(), manifest("first"));
  at.manifests.keep(key(), manifest("second"));
  assert.equal(toolsIn(nextDaemon(t, at).find(key())), '{"tools":["second"]}');
  at.manifests.keep(key(), manifest("", Buffer.alloc(256 * 1024, 32)));
  for (const manifests of [at.manifests, nextDaemon(t, at)])
    assert.equal(manifests.find(key()), undefined);
  at.manifests.keep(key(), manifest("", Buffer.alloc(255 * 1024, 32)));
  assert.equal(toolsIn(nextDaemon(t, at).find(key()))?.length, 255 * 1024);
});

test("of one user and server the last eight are kept, and all of others", (t) => {
  const at = setting(t);
  const nth = (n: number) => key({ capabilities: `{"n":${n}}` });
  at.manifests.keep(key({ user: "bob" }), manifest("of bob"));
  at.manifests.keep(key({ server: "notes" }), manifest("of notes"));
  for (let n = 0; n < 9; n += 1) at.manifests.keep(nth(n), manifest(String(n)));
  // Kept anew it is not the oldest any more.
  at.manifests.keep(nth(1), manifest("1 again"));
  at.manifests.keep(nth(9), manifest("9"));
  const next = nextDaemon(t, at);
  const found = Array.from({ length: 10 }, (_, n) => n).filter((n) => next.find(nth(n)));
  assert.deepEqual(found, [1, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(next.find(key({ user: "bob" })) && next.find(key({ server: "notes" })));
});

test("with a token, a server or a user goes what their children showed", async (t) => {
  const at = setting(t);
  const all = [
    key(),
    key({ server: "notes" }),
    key({ user: "bob" }),
    key({ user: "bob", server: "notes" }),
  ];
  const left = () => {
    const next = nextDaemon(t, at);
    for (const one of all) assert.deepEqual(at.manifests.find(one), next.find(one));
    return all.filter((one) => next.find(one)).map(({ user, server }) => `${user}/${server}`);
  };
  const keepAll = () => {
    for (const one of all) at.manifests.keep(one, manifest());
  };
  keepAll();
  at.manifests.forget({ user: "ada", server: "mail" });
  await at.manifests.swept();
  assert.deepEqual(left(), ["ada/notes", "bob/mail", "bob/notes"]);
  at.manifests.forget({ server: "notes" });
  await at.manifests.swept();
  assert.deepEqual(left(), ["bob/mail"]);
  keepAll();
  at.manifests.forget({ user: "bob" });
  await at.manifests.swept();
  assert.deepEqual(left(), ["ada/mail", "ada/notes"]);
  at.store.users.delete(at.store.users.find("ada")!.id);
  assert.deepEqual(nextDaemon(t, at).find(key()), undefined);
});

test("what is forgotten is shown to nobody at once, and deletes nothing that is kept since", async (t) => {
  const at = setting(t);
  const many = Array.from({ length: 40 }, (_, n) => key({ server: `s${n}` }));
  for (const one of many) at.store.manifests.put({ ...one, key: "k" }, Buffer.from("x"), LIMITS);
  at.manifests.keep(key(), manifest("old"));
  // As with a user who is added with a token.
  at.store.transaction(() => at.manifests.forget({ user: "ada" }));
  assert.equal(at.manifests.find(key()), undefined);
  at.manifests.keep(key({ token: markOf("new") }), manifest("new"));
  await at.manifests.swept();
  assert.deepEqual(at.store.manifests.revisions(), [{ server: "mail", revision: "r1" }]);
  assert.equal(toolsIn(nextDaemon(t, at).find(key({ token: markOf("new") }))), '{"tools":["new"]}');
});

test("at the next start those of servers that are gone or changed are gone", async (t) => {
  const at = setting(t);
  for (const server of ["mail", "notes", "maps"]) at.manifests.keep(key({ server }), manifest());
  const next = nextDaemon(t, at);
  next.retain(
    new Map([
      ["mail", "r1"],
      ["notes", "r2"],
    ]),
  );
  await next.swept();
  assert.deepEqual(at.store.manifests.revisions(), [{ server: "mail", revision: "r1" }]);
});

test("beyond the bytes that all may have the oldest go", (t) => {
  const { store } = setting(t);
  const rows = store.manifests;
  const put = (server: string, bytes: number) =>
    rows.put({ user: "ada", server, revision: "r", key: "k" }, Buffer.alloc(bytes), {
      perOwner: 8,
      totalBytes: 1000,
    });
  for (const server of ["a", "b", "c"]) put(server, 300);
  put("a", 300);
  assert.deepEqual(
    rows.revisions().map(({ server }) => server),
    ["a", "b", "c"],
  );
  put("d", 400);
  assert.deepEqual(
    rows.revisions().map(({ server }) => server),
    ["a", "c", "d"],
  );
  put("e", 1000);
  assert.deepEqual(
    rows.revisions().map(({ server }) => server),
    ["e"],
  );
  assert.equal(
    rows.put({ user: "carol", server: "a", revision: "r", key: "k" }, Buffer.alloc(1), {
      perOwner: 8,
      totalBytes: 1000,
    }),
    false,
  );
});

test("nobody can read in the files what a child showed, nor a mark of a token", (t) => {
  const at = setting(t);
  at.manifests.keep(key({ token: markOf("t") }), manifest("canary-4711"));
  const files = readdirSync(at.folder).filter((name) => name.startsWith(DATABASE_FILE));
  const bytes = files.map((name) => readFileSync(path.join(at.folder, name), "latin1")).join();
  for (const secret of ["canary-4711", "2025-06-18", markOf("t")])
    assert.ok(!bytes.includes(secret), secret);
});

test("a row that was changed, or moved to another user, is as if there were none, and is told", (t) => {
  const at = setting(t);
  at.manifests.keep(key(), manifest());
  const rows = at.store.sealed(SEALED_COLUMNS.find(({ table }) => table === "manifests")!);
  const { box, place } = rows.find(rows.after(undefined, 1)[0]!.key)!;
  const row = { ...key(), key: place.split("|").at(-1)! };
  at.store.manifests.put({ ...row, user: "bob" }, box, LIMITS);
  assert.equal(at.manifests.find(key({ user: "bob" })), undefined);
  assert.equal(at.failures.length, 1);
  box[box.length - 1]! ^= 1;
  at.store.manifests.put(row, box, LIMITS);
  assert.equal(nextDaemon(t, at).find(key()), undefined);
  assert.equal(at.failures.length, 2);
});

test("what the database does not take fails nobody, and is told", (t) => {
  const at = setting(t);
  t.mock.method(at.store.manifests, "put", () => {
    throw new Error("the disk is full");
  });
  at.manifests.keep(key(), manifest());
  assert.equal(at.manifests.find(key()), undefined);
  assert.equal(at.failures.length, 1);
});

test("a copy of the database has none of them, nor the room that they took", async (t) => {
  const at = setting(t);
  const large = Buffer.alloc(250 * 1024, "canary-4711");
  for (const server of ["a", "b", "c", "d"])
    at.manifests.keep(key({ server }), manifest("", large));
  const file = path.join(at.folder, "copy");
  await at.store.copyTo(file);
  assert.ok(statSync(file).size < 200 * 1024);
  const copy = openStore(file);
  t.after(() => copy.close());
  assert.deepEqual(copy.manifests.revisions(), []);
  assert.notEqual(copy.users.find("ada"), undefined);
});
