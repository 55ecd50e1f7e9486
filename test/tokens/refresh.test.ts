import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync, chmodSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { retryAfter } from "../../src/tokens/refresh-plan.ts";
import { tokenRow } from "../../src/tokens/token-row.ts";
import type { Tokens } from "../../src/tokens/tokens.ts";
import { StrictProvider } from "../fixtures/providers/strict.ts";
import type { Kind } from "../fixtures/providers/strict.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { until } from "../helpers/until.ts";
import { NEVER, providerRig } from "./rig.ts";

const KINDS: Kind[] = ["oauth2", "google", "feishu-v2", "feishu-v1"];
const DAY_MS = 86_400_000;

for (const kind of KINDS)
  test(`${kind}: two hundred who want a token at once make one call, and all get what it gave`, async (t) => {
    const { provider, fresh, tokens } = await providerRig(t, { kind });
    const got = await Promise.all(Array.from({ length: 200 }, () => fresh()));
    const refreshes = provider.calls.filter(({ refreshToken }) => refreshToken !== "");
    assert.deepEqual(
      refreshes.map(({ refreshToken, outcome }) => [refreshToken, outcome]),
      [["ur-ada-0", "ok"]],
    );
    assert.deepEqual([...new Set(got)], ["u-ada-1"]);
    const [shown] = tokens.show("ada");
    assert.equal(shown?.grant?.lastResult, "ok");
    // The new refresh token is the one that works, where there is a new one.
    await tokens.refresh("ada", "mail");
    assert.equal(await fresh(), "u-ada-2");
  });

test("that a provider is asked is on the disk before, and what it gave before anybody has it", async (t) => {
  const { provider, fresh, row, tokens, store } = await providerRig(t, { kind: "oauth2" });
  const seen: string[] = [];
  provider.beforeAnswer = () => void seen.push(row().state);
  tokens.events.on("changed", () => {
    const { state, generation } = row();
    seen.push(`${state} ${store.tokens.findFor("ada", "mail") !== undefined}`);
    assert.ok(generation > 0);
  });
  await fresh();
  assert.deepEqual(seen, ["inflight", "idle true"]);
});

for (const kind of ["oauth2", "feishu-v2"] as const)
  test(`${kind}: a refresh token that was used is replaced whatever lifetimes the answer names`, async (t) => {
    const { provider, fresh, tokens, row, store, vault } = await providerRig(t, { kind });
    const lifetimes = [7199.9999, "7199.9999", 0.0004, 1e15, 1e300];
    for (const [at, seconds] of lifetimes.entries()) {
      const odd = { expires_in: seconds, refresh_token_expires_in: seconds };
      const given = { access_token: `u-${at}`, refresh_token: `ur-${at}`, token_type: "Bearer" };
      provider.down = { status: 200, body: { code: 0, ...given, ...odd } };
      await tokens.refresh("ada", "mail");
      const { generation, ...place } = row();
      const box = store.grants.box(row())!;
      assert.equal(vault.open(box, `grants|${place.user}|mail|sso|${generation}`), `ur-${at}`);
      const { expiresAt } = tokens.show("ada")[0]!;
      assert.ok(new Date(expiresAt!).toISOString(), String(seconds));
    }
    assert.match((await fresh())!, /^u-4$/);
  });

for (const kind of ["oauth2", "google", "feishu-v2"] as const)
  test(`${kind}: what an answer says beside its tokens loses neither of them, however oddly it is said`, async (t) => {
    const { provider, fresh, tokens, row, store, vault } = await providerRig(t, { kind });
    const held = (): string => {
      const { user, generation } = row();
      return vault.open(store.grants.box(row())!, `grants|${user}|mail|sso|${generation}`);
    };
    const odd: object[] = [
      { token_type: undefined },
      { token_type: "JWT" },
      { expires_in: null },
      { expires_in: 0 },
      { expires_in: "soon" },
      { scope: ["a", "b"] },
      { scope: null },
      { id_token: "x" },
    ];
    for (const [at, more] of odd.entries()) {
      const [token, refreshToken] = [`u-odd-${at}`, `ur-odd-${at}`];
      const given = { access_token: token, refresh_token: refreshToken, token_type: "Bearer" };
      provider.down = { status: 200, body: { ...given, ...more } };
      await tokens.refresh("ada", "mail");
      assert.deepEqual([await fresh(), held()], [token, refreshToken], JSON.stringify(more));
    }
    for (const none of [null, ""]) {
      const given = { access_token: "u-kept", refresh_token: none, token_type: "Bearer" };
      provider.down = { status: 200, body: given };
      await tokens.refresh("ada", "mail");
      assert.deepEqual([await fresh(), held()], ["u-kept", `ur-odd-${odd.length - 1}`]);
    }
  });

for (const kind of ["oauth2", "feishu-v2"] as const)
  test(`${kind}: what no header or environment could carry is taken for no token, and the one that is there serves`, async (t) => {
    const { provider, fresh, tokens, row } = await providerRig(t, { kind });
    assert.equal(await fresh(), "u-ada-1");
    for (const given of [
      { access_token: "u-odd\r\nx-evil: 1", refresh_token: "ur" },
      { access_token: "u-odd\0", refresh_token: "ur" },
      { access_token: "u".repeat(200_000), refresh_token: "ur" },
      { access_token: "u-odd", refresh_token: "ur\0" },
    ]) {
      provider.down = { status: 200, body: { ...given, token_type: "Bearer" } };
      await assert.rejects(tokens.refresh("ada", "mail"), /its answer holds what can be no token/);
      assert.deepEqual([await fresh(), row().state], ["u-ada-1", "idle"]);
    }
  });

test("tokens lie sealed, each refresh token for its own generation", async (t) => {
  const { fresh, folder, store, row, vault } = await providerRig(t, { kind: "feishu-v2" });
  await fresh();
  store.emptyLog();
  for (const name of readdirSync(folder).filter((file) => file.includes(".db"))) {
    const bytes = readFileSync(path.join(folder, name), "latin1");
    assert.doesNotMatch(bytes, /ur-ada|u-ada/);
  }
  const { generation, ...place } = row();
  const box = store.grants.box(row())!;
  const at = (number: number) => `grants|${place.user}|mail|sso|${number}`;
  assert.equal(vault.open(box, at(generation)), "ur-ada-1");
  assert.throws(() => vault.open(box, at(generation - 1)), { code: "STORE_FAILED" });
});

test("a dead refresh token: the access token serves until its end, and then nobody is given it", async (t) => {
  const { provider, fresh, tokens, row } = await providerRig(t, { kind: "feishu-v2" });
  assert.equal(await fresh(), "u-ada-1");
  provider.grant("ada");
  await assert.rejects(tokens.refresh("ada", "mail"), /gave no new token: 20073/);
  assert.deepEqual([row().state, row().reason], ["needs_reauth", "20073"]);
  assert.equal(await fresh(), "u-ada-1");
  const calls = provider.calls.length;
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 3 * 3_600_000 });
  await assert.rejects(fresh(), {
    code: "TOKEN_EXPIRED",
    message: /ada\/mail: .*no longer refreshes it/,
  });
  assert.equal(provider.calls.length, calls);
  assert.equal(tokens.show("ada")[0]?.grant?.needsReauth?.reason, "20073");
});

test("one failure that may pass clears nothing: 5xx, a limit, an unknown 4xx, no answer at all", async (t) => {
  const { provider, fresh, tokens, row } = await providerRig(t, { kind: "feishu-v2" });
  await fresh();
  for (const down of [
    { status: 503 },
    { status: 400, body: { code: 20050 } },
    { status: 400, body: { code: 99991400 } },
    { status: 418, body: { error: "teapot" } },
    { status: 200, body: { code: 0 } },
  ]) {
    provider.down = down;
    await assert.rejects(tokens.refresh("ada", "mail"), { code: "TOKEN_EXPIRED" });
    assert.equal(row().state, "idle");
    assert.match(row().outcome!, /^transient: /);
  }
  provider.down = undefined;
  await tokens.refresh("ada", "mail");
  assert.equal(await fresh(), "u-ada-2");
});

test("a refresh token that a backup has brought back is tried, and where it was used since its user is told so", async (t) => {
  const { provider, fresh, store, tokens, row } = await providerRig(t, { kind: "oauth2" });
  assert.equal(await fresh(), "u-ada-1");
  store.grants.markRestored();
  provider.down = { status: 503 };
  await assert.rejects(tokens.refresh("ada", "mail"), { code: "TOKEN_EXPIRED" });
  assert.deepEqual([row().state, row().reason], ["idle", "restored"]);
  assert.equal(tokens.show("ada")[0]!.grant?.needsReauth, null);
  provider.down = undefined;
  // Whoever used it after the backup was made has the next one.
  provider.grant("ada");
  await assert.rejects(tokens.refresh("ada", "mail"), { code: "TOKEN_EXPIRED" });
  const { length } = provider.calls;
  assert.equal(row().state, "needs_reauth");
  assert.match(row().reason!, /^restored: /);
  assert.equal(await fresh(), "u-ada-1", "its access token serves until its end");
  assert.equal(provider.calls.length, length);
});

test("a refresh token that a backup has brought back, and that is good still, is like any other from then on", async (t) => {
  const { fresh, store, tokens, row } = await providerRig(t, { kind: "oauth2" });
  await fresh();
  store.grants.markRestored();
  await tokens.refresh("ada", "mail");
  assert.equal(row().reason, null);
});

test("a provider that refuses the client is left alone until the config is read again", async (t) => {
  const { provider, fresh, secret, tokens, row } = await providerRig(t, { kind: "oauth2" });
  chmodSync(secret, 0o600);
  writeFileSync(secret, "another");
  await assert.rejects(fresh(), { code: "TOKEN_EXPIRED", message: /invalid_client/ });
  await assert.rejects(fresh(), { code: "TOKEN_EXPIRED" });
  assert.equal(provider.calls.length, 1);
  assert.equal(row().state, "idle");
  assert.equal(tokens.refusalOf("sso"), "invalid_client");
  writeFileSync(secret, "secret-of-the-client");
  tokens.reloaded();
  assert.equal(tokens.refusalOf("sso"), undefined);
  assert.equal(await fresh(), "u-ada-1");
});

test("tokens of 16 KiB and more are stored whole, the refresh token too", async (t) => {
  const options = { kind: "feishu-v2", padding: "x".repeat(20_000) } as const;
  const { store, vault, config, fresh, tokens } = await providerRig(t, options);
  assert.equal(await fresh(), `u-ada-1${options.padding}`);
  await tokens.refresh("ada", "mail");
  const next = tokensOver({ store, vault }, config);
  t.after(() => next.close());
  assert.equal(next.secretFor("ada", "mail"), `u-ada-2${options.padding}`);
});

test("a client's secret that others can read is not sent", async (t) => {
  const { provider, fresh, secret } = await providerRig(t, { kind: "oauth2" });
  chmodSync(secret, 0o644);
  await assert.rejects(fresh(), { message: /open to other accounts/ });
  assert.equal(provider.calls.length, 0);
});

test("a token that comes later wins over one that is being fetched", async (t) => {
  const { provider, fresh, tokens } = await providerRig(t, { kind: "oauth2" });
  let isSet = false;
  provider.beforeAnswer = () => {
    if (isSet) return;
    isSet = true;
    tokens.setRefreshToken("ada", "mail", provider.grant("ada"));
  };
  assert.equal(await fresh(), "u-ada-2");
  tokens.clear("ada", "mail");
  assert.equal(await fresh(), undefined);
});

test("what a killed daemon had under way is asked for once more, and called the crash window where that is refused", async (t) => {
  const { store, vault, provider, row, config } = await providerRig(t, { kind: "feishu-v2" });
  store.grants.begin(row());
  // The provider had answered, and nobody has the answer.
  provider.grant("ada");
  await fetch(`${provider.origin}/open-apis/authen/v2/oauth/token`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      grant_type: "refresh_token",
      refresh_token: "ur-ada-0",
      client_id: "cli_strict",
      client_secret: "secret-of-the-client",
    }),
  });
  const next = tokensOver({ store, vault }, config);
  t.after(() => next.close());
  next.refresher.start(() => new Set());
  await until(() => row().state === "needs_reauth", "the row says so");
  assert.equal(row().reason, "crash window: 20073");
});

test("after a crash a provider that answers nothing of use is asked once, and one that cannot be reached until it can", async (t) => {
  const { store, vault, provider, row, config } = await providerRig(t, { kind: "feishu-v2" });
  const nextLife = (): Tokens => {
    const next = tokensOver({ store, vault }, config);
    t.after(() => next.close());
    return next;
  };
  const { port } = new URL(provider.origin);
  await provider.close();
  store.grants.begin(row());
  const first = nextLife();
  await assert.rejects(first.refresh("ada", "mail"), /it cannot be reached \(ECONNREFUSED\)/);
  assert.equal(row().state, "inflight");

  const again = await StrictProvider.open({ kind: "feishu-v2" }, Number(port));
  t.after(() => again.close());
  again.grant("ada");
  await first.refresh("ada", "mail");
  assert.equal(row().state, "idle");

  store.grants.begin(row());
  again.down = { status: 503 };
  nextLife().refresher.start(() => new Set());
  await until(() => row().state === "needs_reauth", "the row says so");
  assert.equal(row().reason, "crash window: HTTP 503");
  assert.equal(again.calls.length, 2);
});

test("feishu-v1: without the app's token nothing was asked with the user's, and one that may be refused is fetched anew", async (t) => {
  const { provider, row, store, tokens } = await providerRig(t, { kind: "feishu-v1" });
  store.grants.begin(row());
  provider.down = { status: 503 };
  await assert.rejects(tokens.refresh("ada", "mail"), { code: "TOKEN_EXPIRED" });
  assert.equal(row().state, "inflight");
  provider.down = undefined;
  await tokens.refresh("ada", "mail");
  assert.equal(row().state, "idle");
  provider.calls.length = 0;
  provider.down = { status: 400, body: { code: 20_014 } };
  await assert.rejects(tokens.refresh("ada", "mail"), { code: "TOKEN_EXPIRED" });
  provider.down = undefined;
  await tokens.refresh("ada", "mail");
  assert.deepEqual(
    provider.calls.map((one) => one.path.split("/").at(-1)),
    ["refresh_access_token", "internal", "refresh_access_token"],
  );
});

test("a provider that asks to be left alone is, and for a day at most", () => {
  assert.equal(retryAfter(1, 3_600_000), 3_600_000);
  assert.equal(retryAfter(1, 1e15), DAY_MS);
  assert.ok(retryAfter(99, 1) <= 360_000);
});

test("three hundred users whose tokens were over before the start: nobody is asked for then, and later no more than twenty in a second and four at once", async (t) => {
  const users = Array.from({ length: 300 }, (_, index) => `user-${index}`);
  const { provider, tokens, store, vault, row } = await providerRig(
    t,
    { kind: "google" },
    { users },
  );
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  provider.beforeAnswer = () => held;
  const now = Date.now();
  store.transaction(() => {
    for (const user of users) {
      const { userId, generation } = row(user);
      const box = store.grants.box(row(user))!;
      const renewal = { generation, box, refreshExpiresAt: null, lifetimeMs: 3_600_000 };
      store.grants.renew(row(user), { ...renewal, at: now - 3_600_000 });
      const over = tokenRow("mail", "over", now - 1);
      store.tokens.set(userId, over, vault.seal("over", `tokens|${user}|mail`));
    }
  });
  t.mock.timers.enable({ apis: ["Date", "setInterval", "setTimeout"], now });
  tokens.refresher.start(() => new Set(users.map((user) => `${user}/mail`)));
  await new Promise(setImmediate);
  t.mock.timers.tick(29_999);
  assert.equal(provider.calls.length, 0);
  t.mock.timers.tick(1);
  const step = async (): Promise<void> => {
    const { length } = provider.calls;
    t.mock.timers.tick(50);
    for (let turn = 0; turn < 200 && provider.calls.length === length; turn += 1)
      await new Promise(setImmediate);
  };
  for (let steps = 0; steps < 8; steps += 1) await step();
  assert.equal(provider.calls.length, 4);
  release();
  while (provider.calls.length < users.length) await step();
  const areAllFresh = () => users.every((user) => row(user).expiresAt! > now);
  while (!areAllFresh()) await new Promise(setImmediate);
  assert.equal(provider.calls.length, users.length);
  for (const [index, { at }] of provider.calls.entries()) {
    const before = provider.calls[index - 20];
    if (before !== undefined) assert.ok(at - before.at >= 900, "twenty calls take a second");
  }
  assert.equal(store.grants.all().filter(({ state }) => state !== "idle").length, 0);
});

test("a token of the provider for all users is fetched once, whoever wants it", async (t) => {
  const users = ["ada", "bob"];
  const { provider, fresh } = await providerRig(
    t,
    { kind: "feishu-v2" },
    { users, grant: "tenant" },
  );
  assert.deepEqual(await Promise.all([fresh("ada"), fresh("bob"), fresh("ada")]), [
    "t-1",
    "t-1",
    "t-1",
  ]);
  assert.equal(provider.calls.length, 1);
});

test("a plain token has no place where a provider feeds the server, nor a refresh token where none does", async (t) => {
  const { tokens, config } = await providerRig(t, { kind: "oauth2" });
  assert.throws(() => tokens.set("ada", "mail", "plain"), { code: "TOKEN_OF_PROVIDER" });
  config.servers = { mail: { ...config.servers["mail"]!, tokensFrom: null } };
  assert.throws(() => tokens.setRefreshToken("ada", "mail", "x"), { code: "REQUEST_INVALID" });
  tokens.set("ada", "mail", "plain");
  assert.equal(await tokens.freshFor("ada", "mail", NEVER), "plain");
  assert.equal(tokens.show("ada")[0]?.grant, null);
});

test("a refresh token near its end is used, though nobody uses the token", async (t) => {
  t.mock.timers.enable({ apis: ["Date", "setInterval"], now: Date.now() });
  const { provider, tokens, fresh, row, store } = await providerRig(t, { kind: "feishu-v2" });
  await fresh();
  store.grants.used(row(), 1);
  tokens.refresher.start(() => new Set());
  t.mock.timers.tick(5 * DAY_MS);
  assert.equal(provider.calls.length, 1);
  t.mock.timers.tick(1.01 * DAY_MS);
  await until(() => row().refreshedAt === Date.now() || provider.calls.length > 1, "it is asked");
  await until(() => row().state === "idle", "it is stored");
  assert.equal(provider.calls.length, 2);
});

test("a token that lives for a minute is refreshed at the half of it, and not at once again", async (t) => {
  const { provider, fresh } = await providerRig(t, { kind: "oauth2", expiresIn: 60 });
  assert.equal(await fresh(), "u-ada-1");
  assert.equal(await fresh(), "u-ada-1");
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 31_000 });
  assert.equal(await fresh(), "u-ada-2");
  assert.equal(provider.calls.length, 2);
});
