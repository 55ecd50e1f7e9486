import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { BrowserSessions } from "../../src/auth/browser-sessions.ts";
import { Registry } from "../../src/auth/registry.ts";
import { temporaryStore } from "../helpers/store.ts";

const HOUR = 3_600_000;

function rig(t: TestContext) {
  const { store, file } = temporaryStore(t);
  const registry = new Registry(store);
  const ended: string[] = [];
  registry.events.on("browser-session-ended", ({ id }) => ended.push(id));
  registry.addUser("ada");
  const key = registry.issueKey("ada", { label: "laptop" });
  const signIn = (secret = key.secret) =>
    registry.browserSessions.open(registry.verify(secret)!, "Browser/1");
  return { store, file, registry, ended, key, signIn };
}

test("a browser's session opens for the key's user, after a restart too, and its secret is nowhere", (t) => {
  const { store, file, registry, key, signIn } = rig(t);
  const { secret, id } = signIn();
  assert.match(secret, /^[\w-]{43}$/);
  for (const sessions of [registry.browserSessions, new Registry(store).browserSessions]) {
    const { session, principal } = sessions.verify(secret)!;
    assert.equal(session.id, id);
    assert.deepEqual(
      [principal.user, principal.issuer, principal.credentialId, principal.label],
      ["ada", "key", key.id, "page"],
    );
  }
  for (const wrong of ["", secret.slice(1), `${secret}x`, id, key.secret, "x".repeat(43)])
    assert.equal(registry.browserSessions.verify(wrong), undefined);
  assert.equal(registry.verify(secret), undefined, "it is no access key");
  for (const end of ["", "-wal"]) assert.equal(readFileSync(file + end).includes(secret), false);
});

test("a browser's session ends with its key, its user and its time, and does not come back", (t) => {
  const { registry, ended, key, signIn } = rig(t);
  const other = registry.issueKey("ada");
  const [one, two] = [signIn(), signIn(other.secret)];
  const opens = ({ secret }: { secret: string }) =>
    registry.browserSessions.verify(secret) !== undefined;
  registry.revokeKey(key.id);
  assert.deepEqual([opens(one), opens(two), ended], [false, true, [one.id]]);
  registry.disableUser("ada");
  registry.enableUser("ada");
  assert.deepEqual([opens(two), ended], [false, [one.id, two.id]]);
  const three = signIn(other.secret);
  assert.equal(registry.browserSessions.end("bob", three.id), false, "not another user's");
  assert.equal(registry.browserSessions.end("ada", three.id), true);
  assert.equal(opens(three), false);
  const four = signIn(other.secret);
  signIn(other.secret);
  assert.equal(registry.browserSessions.endAll("ada"), 2);
  assert.equal(opens(four), false);
  const five = signIn(other.secret);
  registry.changeKey("ada", other.id, { label: "new", expiresAt: Date.now() - 1 });
  assert.equal(opens(five), false, "its key has expired");
  registry.beginRemoval("ada");
  assert.ok(ended.includes(five.id));
});

test("where the end of a user is taken back, so is that of the browser's sessions, and nobody is told of it", (t) => {
  const { store, registry, ended, signIn } = rig(t);
  const { secret, id } = signIn();
  const disableThenFail = (): never => {
    registry.disableUser("ada");
    throw new Error("taken back");
  };
  assert.throws(() => store.transaction(disableThenFail));
  assert.deepEqual([ended, registry.browserSessions.verify(secret)?.session.id], [[], id]);
});

test("twelve idle hours or seven days end a browser's session, and use puts the first off", (t) => {
  const { store, registry, key } = rig(t);
  let now = Date.now();
  const sessions = new BrowserSessions(
    store,
    () => {},
    () => now,
  );
  const principal = registry.verify(key.secret)!;
  const idle = sessions.open(principal, "");
  const used = sessions.open(principal, "");
  for (let hour = 0; hour < 167; hour += 1) {
    assert.ok(sessions.verify(used.secret), `after ${hour} hours`);
    now += HOUR;
    if (hour === 11) assert.equal(sessions.verify(idle.secret), undefined);
  }
  assert.deepEqual(
    sessions.list("ada").map(({ id }) => id),
    [used.id],
  );
  now += HOUR;
  assert.equal(sessions.verify(used.secret), undefined);
});

test("a user has fifty browsers at most, of which the longest unused gives way", (t) => {
  const { store, registry, key } = rig(t);
  // Which of two is the longest unused is told by the millisecond.
  let now = Date.now();
  const sessions = new BrowserSessions(
    store,
    () => {},
    () => now,
  );
  const open = () => {
    now += 1;
    return sessions.open(registry.verify(key.secret)!, "Browser/1");
  };
  const first = open();
  for (let count = 0; count < 50; count += 1) open();
  assert.equal(sessions.list("ada").length, 50);
  assert.equal(sessions.verify(first.secret), undefined);
});
