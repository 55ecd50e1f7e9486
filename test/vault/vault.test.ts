import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { SupervisorError } from "../../src/errors.ts";
import { makeKeyFile } from "../../src/vault/key-file.ts";
import { openVault } from "../../src/vault/vault.ts";
import type { Store } from "../../src/store/store.ts";
import { temporaryFolder, temporaryStore } from "../helpers/store.ts";

interface Setting {
  store: Store;
  folder: string;
  keyFile: string;
}

function setting(t: TestContext): Setting {
  const { store, folder } = temporaryStore(t);
  return { store, folder, keyFile: path.join(folder, "vault.key") };
}

function writeKey(keyFile: string, text = `${randomBytes(32).toString("base64")}\n`): void {
  rmSync(keyFile, { force: true });
  writeFileSync(keyFile, text, { mode: 0o400 });
}

/** Asserts that the key file is refused, with something to do about it and no byte of a key. */
function assertRefused({ store, keyFile }: Setting, reason: RegExp): void {
  const key = statSync(keyFile, { throwIfNoEntry: false })?.isFile()
    ? readFileSync(keyFile, "latin1").trim()
    : "";
  assert.throws(
    () => openVault({ keyFile, store }),
    (error: unknown) => {
      assert.ok(error instanceof SupervisorError);
      assert.equal(error.code, "KEY_FILE_REFUSED");
      assert.equal(error.exit, 78);
      assert.match(error.message, reason);
      assert.equal(error.details.length, 1);
      const said = [error.message, ...error.details, String(error.cause)].join("\n");
      assert.ok(key === "" || !said.includes(key.slice(0, 8)));
      return true;
    },
  );
}

test("the first start makes a key that only its owner can read", (t) => {
  const before = process.umask(0);
  t.after(() => process.umask(before));
  const { store, folder, keyFile } = setting(t);
  openVault({ keyFile, store });
  assert.equal(statSync(keyFile).mode & 0o777, 0o400);
  assert.match(readFileSync(keyFile, "latin1"), /^[A-Za-z0-9+/]{43}=\n$/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith("vault.key")),
    ["vault.key"],
  );
});

test("what was sealed opens at its place after a restart, and only there", (t) => {
  const { store, keyFile } = setting(t);
  const box = openVault({ keyFile, store }).seal("tök€n", "tokens|ada|mail");
  const vault = openVault({ keyFile, store });
  assert.equal(vault.open(box, "tokens|ada|mail"), "tök€n");
  for (const place of ["tokens|bob|mail", "tokens|ada|", "tokens|ada|mail ", ""])
    assert.throws(() => vault.open(box, place), { code: "STORE_FAILED" });
});

test("no two boxes are alike and none shows its text", (t) => {
  const vault = openVault(setting(t));
  const boxes = Array.from({ length: 100 }, () => vault.seal("secret-text", "a"));
  assert.equal(new Set(boxes.map((box) => box.subarray(1, 13).toString("hex"))).size, 100);
  assert.ok(boxes.every((box) => !box.includes("secret-text")));
});

test("a box with any bit changed, or cut short, does not open", (t) => {
  const vault = openVault(setting(t));
  const box = vault.seal("secret-text", "a");
  for (let bit = 0; bit < box.length * 8; bit += 1) {
    const changed = Buffer.from(box);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => vault.open(changed, "a"), { code: "STORE_FAILED" }, `bit ${bit}`);
  }
  for (let length = 0; length < box.length; length += 1)
    assert.throws(() => vault.open(box.subarray(0, length), "a"), { code: "STORE_FAILED" });
});

test("an empty text can be sealed", (t) => {
  const vault = openVault(setting(t));
  assert.equal(vault.open(vault.seal("", "a"), "a"), "");
});

test("a key file that group or others could get at is refused and left as it is", (t) => {
  const at = setting(t);
  openVault(at);
  for (const mode of [0o440, 0o404, 0o420, 0o600 | 0o010, 0o666]) {
    chmodSync(at.keyFile, mode);
    assertRefused(at, /has mode 0\d{3}, so other accounts could get at it/);
    assert.equal(statSync(at.keyFile).mode & 0o777, mode);
  }
  for (const mode of [0o400, 0o600]) {
    chmodSync(at.keyFile, mode);
    openVault(at);
  }
});

test("a credential from systemd may show the mask of its ACL as group bits, and nothing wider", (t) => {
  const at = setting(t);
  openVault(at);
  const before = process.env["CREDENTIALS_DIRECTORY"];
  t.after(() => {
    if (before === undefined) delete process.env["CREDENTIALS_DIRECTORY"];
    else process.env["CREDENTIALS_DIRECTORY"] = before;
  });
  process.env["CREDENTIALS_DIRECTORY"] = at.folder;
  chmodSync(at.keyFile, 0o440);
  openVault(at);
  chmodSync(at.keyFile, 0o444);
  assertRefused(at, /has mode 0444/);
  chmodSync(at.keyFile, 0o440);
  process.env["CREDENTIALS_DIRECTORY"] = path.join(at.folder, "elsewhere");
  assertRefused(at, /has mode 0440/);
});

test("a key file of another account is refused", { skip: process.getuid?.() !== 0 }, (t) => {
  const at = setting(t);
  openVault(at);
  chownSync(at.keyFile, 65_534, 65_534);
  assertRefused(at, /belongs to another account/);
});

test("a symlink is followed, and judged by the file behind it", (t) => {
  const at = setting(t);
  const target = path.join(at.folder, "real.key");
  writeKey(target);
  symlinkSync(target, at.keyFile);
  openVault(at);
  chmodSync(target, 0o444);
  assertRefused(at, /has mode 0444/);
});

test("a missing key is refused, not replaced, once the database was written with one", (t) => {
  const at = setting(t);
  openVault(at);
  rmSync(at.keyFile);
  assertRefused(at, /is missing/);
  assert.equal(statSync(at.keyFile, { throwIfNoEntry: false }), undefined);
});

test("a missing key is refused also where only a sealed row is left to tell", (t) => {
  const at = setting(t);
  const { id } = at.store.users.insert("ada", 1);
  const token = { server: "", fingerprint: "sha256:0", setAt: 1, expiresAt: null };
  at.store.tokens.set(id, token, Buffer.from("sealed"));
  assertRefused(at, /is missing/);
  writeKey(at.keyFile);
  assertRefused(at, /is not the key/);
});

test("another key than the database was written with is refused", (t) => {
  const at = setting(t);
  openVault(at);
  writeKey(at.keyFile);
  assertRefused(at, /is not the key that the database was written with/);
});

test("a file that holds no whole key is refused", (t) => {
  const at = setting(t);
  const short = randomBytes(31).toString("base64");
  const whole = randomBytes(32).toString("base64");
  for (const text of [
    "",
    "\n",
    short,
    `${whole}${whole}`,
    `${whole}\n\n`,
    `${whole} `,
    `-${whole}`,
  ]) {
    writeKey(at.keyFile, text);
    assertRefused(at, /does not hold a key/);
  }
  writeKey(at.keyFile, whole);
  openVault(at);
});

test("what is no file is refused", (t) => {
  const at = setting(t);
  mkdirSync(at.keyFile, { mode: 0o700 });
  assertRefused(at, /is not a file/);
});

test("a place where no key can be made is refused with the reason", (t) => {
  const { store, folder } = setting(t);
  assertRefused(
    { store, folder, keyFile: path.join(folder, "nowhere", "vault.key") },
    /cannot be made \(ENOENT\)/,
  );
});

test("making a key never takes the place of one that came first", (t) => {
  const keyFile = path.join(temporaryFolder(t), "vault.key");
  const first = makeKeyFile(keyFile);
  assert.deepEqual(makeKeyFile(keyFile), first);
});
