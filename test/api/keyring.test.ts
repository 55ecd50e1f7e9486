import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { addToKeyFile } from "../../src/vault/key-file.ts";
import { formatKey } from "../../src/vault/key-list.ts";
import { openRig, shortFolder } from "./rig.ts";

const LINE = `7:${Buffer.alloc(32, 9).toString("base64")}`;
const SECRET = LINE.slice(2);

interface Status {
  keys: { id: number; rows: number }[];
  left: number;
  isCredential: boolean;
}

test("an admin sees the keys, rotates, and drops the old one; each order is audited", async (t) => {
  const { ask, dataDir } = await openRig(t);
  await ask("POST", "/api/users", { body: { user: "ada", token: "token-of-ada" } });
  const { body } = await ask("GET", "/api/keyring");
  assert.deepEqual((body as unknown as Status).keys, [{ id: 0, rows: 1 }]);
  assert.equal((await ask("DELETE", "/api/keyring/keys/0")).error.type, "KEY_IN_USE");
  assert.deepEqual((await ask("POST", "/api/keyring/rotate")).body, { id: 1 });
  let left = 1;
  while (left > 0) left = ((await ask("GET", "/api/keyring")).body as unknown as Status).left;
  assert.deepEqual((await ask("DELETE", "/api/keyring/keys/0")).body, { id: 0 });
  for (const id of ["0", "nope", "-1", "99999999999"])
    assert.equal((await ask("DELETE", `/api/keyring/keys/${id}`)).error.type, "KEY_NOT_FOUND");
  assert.match(readFileSync(join(dataDir, "vault.key"), "latin1"), /^1:/);
  const { entries } = (await ask("GET", "/api/audit")).body as { entries: { what: string }[] };
  const orders = entries.map(({ what }) => what).filter((what) => what.startsWith("keyring"));
  assert.deepEqual(orders.slice(0, 3), ["keyring drop 0", "keyring rotate", "keyring drop 0"]);
});

test("a key comes over the socket alone, and shows in no log, audit row, answer or file", async (t) => {
  const rig = await openRig(t, { admin: { host: "127.0.0.1", port: 0 } });
  const { ask, daemon, dataDir } = rig;
  const tcp = daemon.adminAddress!;
  const token = readFileSync(join(dataDir, "admin.token"), "utf8").trim();
  const headers = { authorization: `Bearer ${token}` };
  const refused = await ask("POST", "/api/keyring/rotate", { tcp, headers, body: { key: LINE } });
  assert.equal(refused.error.type, "REQUEST_INVALID");
  assert.deepEqual(
    ((await ask("GET", "/api/keyring")).body as unknown as Status).keys.map(({ id }) => id),
    [0],
  );
  assert.deepEqual((await ask("POST", "/api/keyring/rotate", { body: { key: LINE } })).body, {
    id: 7,
  });
  // The same once more, as from a command that was repeated, changes nothing.
  assert.deepEqual((await ask("POST", "/api/keyring/rotate", { body: { key: LINE } })).body, {
    id: 7,
  });
  const other = `6:${SECRET}`;
  const older = await ask("POST", "/api/keyring/rotate", { body: { key: other } });
  assert.equal(older.error.type, "REQUEST_INVALID");
  const broken = await ask("POST", "/api/keyring/rotate", { body: { key: `8:${SECRET}x` } });
  assert.equal(broken.error.type, "REQUEST_INVALID");
  const backup = await ask("POST", "/api/backup", { tcp, headers });
  assert.equal(backup.error.type, "NOT_FOUND", "nor does a backup leave by it");
  const audit = (await ask("GET", "/api/audit")).text;
  const said = [rig.logged(), audit, refused.text, older.text, broken.text].join("\n");
  assert.ok(!said.includes(SECRET.slice(0, 12)));
  for (const name of readdirSync(dataDir))
    if (/\.db/.test(name)) assert.ok(!readFileSync(join(dataDir, name)).includes(SECRET));
});

test("with a credential the file is changed by the command and the daemon takes the key", async (t) => {
  const credentials = shortFolder(t);
  const dir = shortFolder(t);
  const source = join(dir, "etc.key");
  const before = process.env["CREDENTIALS_DIRECTORY"];
  t.after(() => {
    if (before === undefined) delete process.env["CREDENTIALS_DIRECTORY"];
    else process.env["CREDENTIALS_DIRECTORY"] = before;
  });
  process.env["CREDENTIALS_DIRECTORY"] = credentials;
  mkdirSync(join(dir, "data"), { mode: 0o700 });
  const keyFile = join(credentials, "vault.key");
  const { ask } = await openRig(t, { keyFile }, dir);
  copyFileSync(keyFile, source);
  await ask("POST", "/api/users", { body: { user: "ada", token: "token-of-ada" } });
  const asked = await ask("POST", "/api/keyring/rotate");
  assert.equal(asked.error.type, "KEY_FILE_REFUSED");
  assert.match(asked.error.message, /comes from the service manager/);
  const [added] = addToKeyFile(source);
  const given = await ask("POST", "/api/keyring/rotate", { body: { key: formatKey(added!) } });
  assert.deepEqual(given.body, { id: 1 });
  let left = 1;
  while (left > 0) left = ((await ask("GET", "/api/keyring")).body as unknown as Status).left;
  const credential = readFileSync(keyFile, "latin1");
  assert.deepEqual((await ask("DELETE", "/api/keyring/keys/0")).body, { id: 0 });
  assert.equal(readFileSync(keyFile, "latin1"), credential);
});

test("an order for a new CA of pods is audited, and refused where there is no cluster", async (t) => {
  const { ask } = await openRig(t);
  const refused = await ask("POST", "/api/kubernetes/rotate-ca");
  assert.equal(refused.error.type, "REQUEST_INVALID");
  const { entries } = (await ask("GET", "/api/audit")).body as { entries: { what: string }[] };
  assert.equal(entries.at(-1)?.what, "kubernetes rotate-ca");
});
