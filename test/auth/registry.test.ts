import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { crc32 } from "node:zlib";
import { Registry } from "../../src/auth/registry.ts";
import { BAD_NAMES, temporaryStore } from "../helpers/store.ts";

function temporaryRegistry(t: TestContext) {
  const { store, file } = temporaryStore(t);
  const open = (): Registry => new Registry(store);
  const registry = open();
  const ended: unknown[] = [];
  registry.events.on("credential-ended", (event) => ended.push(event));
  registry.events.on("user-ended", (event) => ended.push(event));
  return { registry, open, ended, file };
}

test("a key opens for its user, the second time without the database, and after a restart", (t) => {
  const { registry, open } = temporaryRegistry(t);
  registry.addUser("ada");
  registry.addUser("bob");
  const ada = registry.issueKey("ada", { label: "laptop" });
  const bob = registry.issueKey("bob");
  const principal = {
    user: "ada",
    issuer: "key",
    subject: "ada",
    credentialId: ada.id,
    label: "laptop",
    expiresAt: null,
  };
  assert.deepEqual(registry.verify(ada.secret), principal);
  assert.equal(registry.verify(ada.secret), registry.verify(ada.secret));
  assert.equal(registry.verify(bob.secret)?.user, "bob");
  assert.deepEqual(open().verify(ada.secret), principal);
});

test("a key is mcps_, 30 random characters and their checksum", (t) => {
  const { registry } = temporaryRegistry(t);
  registry.addUser("ada");
  const secrets = Array.from({ length: 200 }, () => registry.issueKey("ada").secret);
  assert.equal(new Set(secrets).size, 200);
  for (const secret of secrets) {
    assert.match(secret, /^mcps_[0-9A-Za-z]{36}$/);
    let check = 0;
    for (const digit of secret.slice(35))
      check =
        check * 62 +
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".indexOf(digit);
    assert.equal(check, crc32(secret.slice(0, 35)));
  }
  const seen = new Set(secrets.flatMap((secret) => secret.slice(5, 35).split("")));
  assert.equal(seen.size, 62);
});

test("what is not exactly the key opens nothing", (t) => {
  const { registry } = temporaryRegistry(t);
  registry.addUser("ada");
  const { id, secret } = registry.issueKey("ada");
  const flipped = Array.from(
    secret,
    (char, at) => secret.slice(0, at) + (char === "A" ? "B" : "A") + secret.slice(at + 1),
  );
  const others = ["", "mcps_", id, ` ${secret}`, `${secret}\n`, secret.toLowerCase()];
  others.push(secret.slice(0, -1), `${secret}A`, "mcps_".padEnd(2 ** 20, "A"), `${secret}\0`);
  for (const text of [...flipped, ...others]) assert.equal(registry.verify(text), undefined);
  assert.ok(registry.verify(secret) !== undefined);
});

test("the database holds neither the key nor its random part", (t) => {
  const { registry, file } = temporaryRegistry(t);
  registry.addUser("ada");
  const { secret } = registry.issueKey("ada");
  for (const name of [file, `${file}-wal`]) {
    assert.equal(readFileSync(name).includes(secret), false);
    assert.equal(readFileSync(name).includes(secret.slice(5, 20)), false);
  }
});

test("a revoked key opens nothing from that moment on, and the others still do", (t) => {
  const { registry, open, ended } = temporaryRegistry(t);
  registry.addUser("ada");
  const lost = registry.issueKey("ada");
  const kept = registry.issueKey("ada");
  assert.ok(registry.verify(lost.secret) !== undefined);
  // Streams that the event ends may reconnect within it.
  registry.events.once("credential-ended", () =>
    assert.equal(registry.verify(lost.secret), undefined),
  );
  assert.deepEqual(registry.revokeKey(lost.id), { id: lost.id, user: "ada" });
  assert.equal(registry.verify(lost.secret), undefined);
  assert.equal(open().verify(lost.secret), undefined);
  assert.ok(registry.verify(kept.secret) !== undefined);
  assert.deepEqual(registry.revokeKey(lost.id), { id: lost.id, user: "ada" });
  assert.deepEqual(ended, [{ user: "ada", issuer: "key", credentialId: lost.id }]);
  assert.deepEqual(
    registry.listKeys("ada").map(({ id }) => id),
    [kept.id],
  );
});

test("a key that is not there cannot be revoked", (t) => {
  const { registry } = temporaryRegistry(t);
  for (const id of ["", "key_0000000000", "x\0", "' OR 1=1"])
    assert.throws(() => registry.revokeKey(id), { code: "KEY_NOT_FOUND" });
});

test("a key expires by the clock, also when it was verified before", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1_000_000 });
  const { registry } = temporaryRegistry(t);
  registry.addUser("ada");
  const { secret } = registry.issueKey("ada", { expiresAt: 1_060_000 });
  assert.ok(registry.verify(secret) !== undefined);
  t.mock.timers.setTime(1_059_999);
  assert.ok(registry.verify(secret) !== undefined);
  t.mock.timers.setTime(1_060_000);
  assert.equal(registry.verify(secret), undefined);
  assert.equal(registry.listKeys("ada")[0]!.expiresAt, 1_060_000);
});

test("a disabled user's keys open nothing until the user is enabled again", (t) => {
  const { registry, ended } = temporaryRegistry(t);
  registry.addUser("ada");
  const { secret } = registry.issueKey("ada");
  assert.ok(registry.verify(secret) !== undefined);
  assert.equal(registry.disableUser("ada").state, "disabled");
  assert.equal(registry.verify(secret), undefined);
  assert.equal(registry.disableUser("ada").state, "disabled");
  assert.deepEqual(ended, [{ user: "ada" }]);
  const later = registry.issueKey("ada");
  assert.equal(registry.verify(later.secret), undefined);
  assert.equal(registry.enableUser("ada").state, "enabled");
  assert.equal(registry.verify(secret)?.user, "ada");
  assert.equal(registry.verify(later.secret)?.user, "ada");
});

test("a removal ends keys first, keeps the name till the end, and can be taken up again", (t) => {
  const { registry, open, ended } = temporaryRegistry(t);
  registry.addUser("ada");
  const { secret } = registry.issueKey("ada");
  assert.ok(registry.verify(secret) !== undefined);
  assert.throws(() => registry.finishRemoval("ada"), { code: "USER_NOT_FOUND" });

  assert.equal(registry.beginRemoval("ada").state, "removing");
  assert.equal(registry.verify(secret), undefined);
  assert.deepEqual(registry.listKeys("ada"), []);
  assert.deepEqual(ended, [{ user: "ada" }]);
  assert.throws(() => registry.addUser("ada"), { code: "USER_EXISTS" });
  for (const change of [
    () => registry.issueKey("ada"),
    () => registry.enableUser("ada"),
    () => registry.disableUser("ada"),
  ])
    assert.throws(change, { code: "USER_NOT_FOUND" });

  const restarted = open();
  assert.equal(restarted.requireUser("ada").state, "removing");
  restarted.beginRemoval("ada");
  restarted.finishRemoval("ada");
  assert.equal(restarted.findUser("ada"), undefined);
  restarted.addUser("ada");
  assert.equal(restarted.verify(secret), undefined);
});

test("users are listed by name and counted", (t) => {
  const { registry } = temporaryRegistry(t);
  for (const name of ["bob", "ada", "carol"]) registry.addUser(name);
  assert.deepEqual(
    registry.listUsers().map(({ name, state }) => [name, state]),
    [
      ["ada", "enabled"],
      ["bob", "enabled"],
      ["carol", "enabled"],
    ],
  );
  assert.equal(registry.countUsers(), 3);
  assert.throws(() => registry.addUser("ada"), { code: "USER_EXISTS", status: 409 });
});

for (const [what, name] of Object.entries(BAD_NAMES))
  test(`no user can be added or found by a name ${what}`, (t) => {
    const { registry } = temporaryRegistry(t);
    registry.addUser("ada");
    assert.throws(() => registry.addUser(name), { code: "REQUEST_INVALID" });
    assert.equal(registry.findUser(name), undefined);
    assert.throws(() => registry.requireUser(name), {
      code: "USER_NOT_FOUND",
      message: "no such user",
    });
    assert.equal(registry.countUsers(), 1);
  });
