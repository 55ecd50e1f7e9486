import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import Database from "better-sqlite3";
import type { SupervisorError } from "../../src/errors.ts";
import { openVault } from "../../src/vault/vault.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { temporaryStore } from "../helpers/store.ts";

function temporaryTokens(t: TestContext, users = ["ada", "bob"]) {
  const { store, folder, file } = temporaryStore(t);
  for (const user of users) store.users.insert(user, 1);
  const vault = openVault({ keyFile: path.join(folder, "vault.key"), store });
  const tokens = tokensOver({ store, vault });
  const changed: unknown[] = [];
  tokens.events.on("changed", (event) => changed.push(event));
  return { tokens, store, vault, folder, file, changed };
}

test("a child gets its own user's token: the server's, else the general one, else none", (t) => {
  const { tokens } = temporaryTokens(t);
  assert.equal(tokens.secretFor("ada", "mail"), undefined);
  tokens.set("ada", null, "ada-general");
  tokens.set("ada", "mail", "ada-mail");
  tokens.set("bob", "mail", "bob-mail");
  assert.equal(tokens.secretFor("ada", "mail"), "ada-mail");
  assert.equal(tokens.secretFor("ada", "notes"), "ada-general");
  assert.equal(tokens.secretFor("bob", "mail"), "bob-mail");
  assert.equal(tokens.secretFor("bob", "notes"), undefined);
  assert.equal(tokens.secretFor("carol", "mail"), undefined);
  tokens.clear("ada", "mail");
  assert.equal(tokens.secretFor("ada", "mail"), "ada-general");
});

test("a new token takes the place of the old one, also after a restart", (t) => {
  const { tokens, store, vault } = temporaryTokens(t);
  tokens.set("ada", null, "first");
  tokens.set("ada", null, "second");
  assert.equal(tokensOver({ store, vault }).secretFor("ada", "mail"), "second");
  assert.equal(tokens.show("ada").length, 1);
});

test("what is shown is a fingerprint, never the token", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 5000 });
  const { tokens } = temporaryTokens(t);
  tokens.set("ada", "mail", "ada-mail-token");
  tokens.set("ada", null, "ada-token", 4000);
  const digest = createHash("sha256").update("ada-token").digest("hex");
  const [general, mail] = tokens.show("ada");
  assert.deepEqual(general, {
    server: null,
    fingerprint: `sha256:${digest.slice(0, 12)}`,
    setAt: 5000,
    expiresAt: 4000,
    grant: null,
  });
  assert.equal(mail!.server, "mail");
  assert.equal(mail!.expiresAt, null);
  assert.doesNotMatch(JSON.stringify(tokens.show("ada")), /-token/);
  assert.deepEqual(tokens.show("bob"), []);
});

test("a token whose time has passed is still handed out: the provider decides", (t) => {
  const { tokens } = temporaryTokens(t);
  tokens.set("ada", null, "old", 1);
  assert.equal(tokens.secretFor("ada", "mail"), "old");
});

test("every change is told, once it is in force", (t) => {
  const { tokens, changed } = temporaryTokens(t);
  tokens.events.once("changed", () => assert.equal(tokens.secretFor("ada", "x"), "one"));
  tokens.set("ada", null, "one");
  tokens.set("ada", "mail", "two");
  tokens.clear("ada", "mail");
  assert.equal(tokens.clearAll("ada"), 1);
  assert.equal(tokens.clearAll("ada"), 0);
  assert.deepEqual(changed, [
    { user: "ada", server: null, isCleared: false },
    { user: "ada", server: "mail", isCleared: false },
    { user: "ada", server: "mail", isCleared: true },
    { user: "ada", server: null, isCleared: true },
  ]);
});

test("what no environment could carry, or is no token, is refused without being repeated", (t) => {
  const { tokens, changed } = temporaryTokens(t);
  tokens.set("ada", null, "kept");
  const bad = ["", "s3cret\0", "s3cret\ud800", "s3cret".padEnd(128 * 1024 + 1, "x")];
  for (const value of bad)
    assert.throws(
      () => tokens.set("ada", null, value),
      (error: SupervisorError) => {
        assert.equal(error.code, "REQUEST_INVALID");
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      },
    );
  assert.equal(tokens.secretFor("ada", "x"), "kept");
  assert.equal(changed.length, 1);
  const longest = "x".repeat(127 * 1024);
  tokens.set("ada", null, longest);
  assert.equal(tokens.secretFor("ada", "x"), longest);
});

test("a user or token that is not there is an answer of its own", (t) => {
  const { tokens, store } = temporaryTokens(t);
  for (const name of ["carol", "..", "", "ada\0"]) {
    assert.throws(() => tokens.set(name, null, "x"), { code: "USER_NOT_FOUND" });
    assert.throws(() => tokens.show(name), { code: "USER_NOT_FOUND" });
    assert.throws(() => tokens.clear(name, null), { code: "USER_NOT_FOUND" });
  }
  assert.throws(() => tokens.clear("ada", "mail"), { code: "TOKEN_NOT_FOUND" });
  store.users.setState(store.users.find("ada")!.id, "removing");
  assert.throws(() => tokens.set("ada", null, "x"), { code: "USER_NOT_FOUND" });
});

test("a row that is moved to another user or server does not open there", (t) => {
  const { tokens, file } = temporaryTokens(t);
  tokens.set("ada", "mail", "ada-mail");
  tokens.set("bob", "mail", "bob-mail");
  const raw = new Database(file);
  t.after(() => raw.close());

  raw.exec("UPDATE tokens SET box = (SELECT box FROM tokens WHERE user_id = 1) WHERE user_id = 2");
  assert.throws(() => tokens.secretFor("bob", "mail"), { code: "STORE_FAILED" });
  assert.equal(tokens.secretFor("ada", "mail"), "ada-mail");

  raw.exec("UPDATE tokens SET server = 'notes' WHERE user_id = 1");
  assert.throws(() => tokens.secretFor("ada", "notes"), { code: "STORE_FAILED" });
  raw.exec("UPDATE tokens SET server = '' WHERE user_id = 1");
  assert.throws(() => tokens.secretFor("ada", "notes"), { code: "STORE_FAILED" });
});

test("no file of the data folder ever holds a token", (t) => {
  const { tokens, folder } = temporaryTokens(t);
  const canary = "canary-0123456789abcdef";
  const forms = [
    canary,
    Buffer.from(canary).toString("base64").slice(0, 24),
    encodeURIComponent(canary),
  ];
  const assertNowhere = (): void => {
    for (const name of readdirSync(folder))
      for (const form of forms)
        assert.equal(readFileSync(path.join(folder, name)).includes(form), false, name);
  };
  tokens.set("ada", null, canary);
  assertNowhere();
  tokens.set("ada", null, "another");
  tokens.clearAll("ada");
  assertNowhere();
});
