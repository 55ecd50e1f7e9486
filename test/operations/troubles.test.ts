import assert from "node:assert/strict";
import { chmodSync, renameSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Registry } from "../../src/auth/registry.ts";
import { SupervisorError } from "../../src/errors.ts";
import type { InstanceRow } from "../../src/instances/supervisor.ts";
import { RefreshEnds } from "../../src/operations/refresh-ends.ts";
import { troubleFinder } from "../../src/operations/troubles.ts";
import type { GrantRow } from "../../src/store/store.ts";
import { createLogger } from "../../src/telemetry/logger.ts";
import { openVault } from "../../src/vault/vault.ts";
import { temporaryStore } from "../helpers/store.ts";
import { tokensOver } from "../helpers/tokens.ts";

const DAY = 86_400_000;

/** What looks at real rooms, but for the instances, which are these. */
function rig(t: TestContext) {
  const { store, folder } = temporaryStore(t);
  const keyFile = path.join(folder, "vault.key");
  const vault = openVault({ keyFile, store });
  const servers: Record<string, object> = {};
  const config = { providers: { sso: {} }, servers, dataDir: folder } as never;
  const tokens = tokensOver({ store, vault }, config);
  const registry = new Registry(store);
  const instances: InstanceRow[] = [];
  const supervisor = { list: () => instances, fallen: () => [] };
  const log = createLogger("silent", {});
  const parts = { store, registry, supervisor, tokens, vault, config, log };
  const find = troubleFinder(parts);
  const found = () => find().troubles.map(({ kind, about }) => `${kind} ${about}`);
  for (const user of ["ada", "bob"]) store.users.insert(user, 1);
  return { store, vault, tokens, registry, instances, keyFile, parts, servers, find, found };
}

test("all is well, and so nothing is in trouble", (t) => {
  const { found } = rig(t);
  assert.deepEqual(found(), []);
});

test("tokens and keys that end within a week are told, and those of a user who is disabled are not", (t) => {
  const { tokens, registry, found, store } = rig(t);
  const now = Date.now();
  tokens.set("ada", "mail", "a-token-of-ada", now + 6 * DAY);
  tokens.set("ada", null, "a-general-token", now - DAY);
  tokens.set("ada", "files", "another-token", now + 8 * DAY);
  tokens.set("bob", "mail", "a-token-of-bob", now + DAY);
  const { id } = registry.issueKey("ada", { label: "laptop", expiresAt: now + 6 * DAY });
  registry.issueKey("ada", { label: "desk", expiresAt: now + 8 * DAY });
  registry.issueKey("bob", { label: "laptop", expiresAt: now + DAY });
  registry.disableUser("bob");
  assert.deepEqual(found(), ["token ada/", "token ada/mail", `key ${id}`]);
  store.tokens.delete(1, "");
  tokens.set("ada", "mail", "the-next-token", now + 30 * DAY);
  registry.revokeKey(id);
  assert.deepEqual(found(), []);
});

test("who has to connect anew is told with since when and why", (t) => {
  const { store, find, tokens, servers } = rig(t);
  const grant = { provider: "sso", generation: 1, box: Buffer.from("x"), refreshExpiresAt: null };
  store.grants.set(1, "mail", grant);
  const row = store.grants.find("ada", "mail")!;
  store.grants.settle(row, { state: "needs_reauth", reason: "20064", outcome: "x" });
  const { since } = store.grants.find("ada", "mail")!;
  const [trouble] = find().troubles;
  const whose = { user: "ada", server: "mail", about: "ada/mail" };
  const about = { event: since, endsAt: null, reason: "20064" };
  assert.deepEqual(trouble, { kind: "needs_reauth", ...whose, ...about, connectUrl: null });
  const page = (user: string, server: string) => `https://mcp.example.com/${user}/${server}`;
  tokens.connects.reachableAt({ callback: "https://mcp.example.com/x", page });
  servers["mail"] = { tokensFrom: { provider: "sso", grant: "user" } };
  assert.equal(find().troubles[0]?.connectUrl, "https://mcp.example.com/ada/mail");
});

test("one that is parked stays in trouble while it is tried again, until it has served", (t) => {
  const { instances, found, find } = rig(t);
  const row = { user: "ada", server: "mail", reason: "exited with code 1" } as InstanceRow;
  instances.push({ ...row, state: "backing-off", failures: 9 });
  assert.deepEqual(found(), []);
  for (const state of ["parked", "starting", "ready"] as const) {
    instances.splice(0, 1, { ...row, state, failures: 10 });
    assert.deepEqual(found(), ["parked ada/mail"], state);
    assert.deepEqual(find().mended, []);
  }
  instances.splice(0, 1, { ...row, state: "ready", failures: 0 });
  assert.deepEqual(found(), []);
  assert.deepEqual(find().mended, [{ kind: "parked", about: "ada/mail" }]);
});

test("a key file that the next start would refuse is told, and so is a disk that takes no writing", (t) => {
  const { keyFile, parts, found } = rig(t);
  chmodSync(keyFile, 0o644);
  assert.deepEqual(found(), ["vault key"]);
  chmodSync(keyFile, 0o400);
  assert.deepEqual(found(), []);
  renameSync(keyFile, `${keyFile}.away`);
  assert.deepEqual(found(), ["vault key"]);
  renameSync(`${keyFile}.away`, keyFile);
  assert.deepEqual(found(), []);
  const relaxed = (): never => {
    throw new SupervisorError("DISK_FULL", "the database: the disk is full");
  };
  const { grants, tokens, meta } = parts.store;
  const full = troubleFinder({ ...parts, store: { grants, tokens, meta, relaxed } });
  assert.deepEqual(
    full().troubles.map(({ kind, reason }) => [kind, reason]),
    [["disk", "the database: the disk is full"]],
  );
});

test("a sealed row that does not open is told", (t) => {
  const { vault, find } = rig(t);
  const box = vault.seal("a-token", "tokens|ada|mail");
  assert.throws(() => vault.open(box, "tokens|bob|mail"), { code: "STORE_FAILED" });
  const [trouble] = find().troubles;
  assert.match(`${trouble!.kind}: ${trouble!.reason}`, /^vault: a sealed row was changed/);
});

test("a provider that refuses this installation is told until it gives a token", (t) => {
  const { tokens, found } = rig(t);
  tokens.shared.events.emit("tried", { provider: "sso", outcome: "config" });
  assert.deepEqual(found(), ["provider sso"]);
  tokens.shared.events.emit("tried", { provider: "sso", outcome: "ok" });
  assert.deepEqual(found(), []);
});

test("what cannot be looked at is not taken for mended", (t) => {
  const { parts } = rig(t);
  const grants = Object.assign(Object.create(parts.store.grants) as typeof parts.store.grants, {
    ending: () => {
      throw new SupervisorError("STORE_FAILED", "the database: the disk failed");
    },
  });
  const { tokens, meta } = parts.store;
  const relaxed = parts.store.relaxed.bind(parts.store);
  const { known } = troubleFinder({ ...parts, store: { grants, tokens, meta, relaxed } })();
  assert.ok(!known.has("needs_reauth") && !known.has("refresh_token"));
  assert.ok(known.has("token") && known.has("parked"));
});

test("a refresh token that ends soon is told where no refresh prolongs it, and not where each brings another", () => {
  const now = Date.now();
  const row = { user: "ada", server: "mail", since: now } as GrantRow;
  const isTold = (ends: RefreshEnds, refreshedAt: number, refreshExpiresAt: number): boolean =>
    ends.untended([{ ...row, refreshedAt, refreshExpiresAt }]).length > 0;

  // Seven days with each refresh, as Feishu gives them.
  const renewed = new RefreshEnds();
  for (let at = now; at < now + 3 * DAY; at += DAY / 2)
    assert.equal(isTold(renewed, at, at + 7 * DAY), false);

  // Ninety days from the first sign-in, whatever is refreshed.
  const fixed = new RefreshEnds();
  assert.equal(isTold(fixed, now, now + 5 * DAY), false);
  assert.equal(isTold(fixed, now + 1, now + 5 * DAY), true);
  assert.equal(isTold(fixed, now + 1, now + 5 * DAY), true);

  // Long-lived, and not refreshed for long.
  assert.equal(isTold(new RefreshEnds(), now - 85 * DAY, now + 5 * DAY), true);
});
