import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Registry } from "../../src/auth/registry.ts";
import { DAY_MS } from "../../src/platform/durations.ts";
import { temporaryStore } from "../helpers/store.ts";

function rig(t: TestContext) {
  const { store } = temporaryStore(t);
  const registry = new Registry(store);
  registry.addUser("ada");
  return { store, registry, invites: registry.invites };
}

const INVALID = { code: "INVITE_INVALID", message: "this invite is not valid, or no longer valid" };

test("an invite gives a key of the user's with a label, once", (t) => {
  const { registry, invites } = rig(t);
  const { code, expiresAt } = invites.create("ada");
  assert.match(code, /^[\w-]{43}$/);
  assert.ok(Math.abs(expiresAt - Date.now() - DAY_MS) < 60_000);
  assert.deepEqual(registry.listKeys("ada"), []);
  const { user, key } = invites.redeem(code);
  assert.equal(user, "ada");
  assert.equal(registry.verify(key.secret)?.label, "invite");
  assert.throws(() => invites.redeem(code), INVALID);
  assert.equal(registry.listKeys("ada").length, 1);
});

test("what was used, revoked, replaced, is late, wrong or of a disabled user is refused in one way", (t) => {
  const { store, registry, invites } = rig(t);
  const replaced = invites.create("ada");
  const revoked = invites.create("ada");
  assert.equal(invites.revoke("ada"), true);
  assert.equal(invites.revoke("ada"), false);
  for (const code of [replaced.code, revoked.code, "", "x", "x".repeat(10_000)])
    assert.throws(() => invites.redeem(code), INVALID);

  const of = invites.create("ada");
  registry.disableUser("ada");
  assert.throws(() => invites.redeem(of.code), INVALID);
  registry.enableUser("ada");
  t.mock.timers.enable({ apis: ["Date"], now: of.expiresAt });
  assert.throws(() => invites.redeem(of.code), INVALID);
  t.mock.timers.setTime(of.expiresAt - 1);
  assert.equal(invites.redeem(of.code).user, "ada");

  invites.create("ada");
  registry.beginRemoval("ada");
  assert.throws(() => invites.create("ada"), { code: "USER_NOT_FOUND" });
  registry.finishRemoval("ada");
  assert.throws(() => invites.create("nobody"), { code: "USER_NOT_FOUND" });
  assert.equal(store.invites.take(Buffer.alloc(32)), undefined);
});
