import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import type { Kind } from "../fixtures/providers/strict.ts";
import { until } from "../helpers/until.ts";
import { tokensOver } from "../helpers/tokens.ts";
import { NEVER, providerRig } from "./rig.ts";

const redirectUri = "https://mcp.example.com/x/connect/callback";

/** A provider that takes browsers, and ada, who has nothing of it yet. */
async function rig(t: TestContext, kind: Kind = "oauth2") {
  const at = await providerRig(t, { kind }, { connects: true });
  const { provider, tokens } = at;
  provider.redirectUri = redirectUri;
  tokens.connects.reachableAt({ callback: redirectUri, page: () => "https://mcp.example.com/x" });
  provider.account = "ada";
  const begin = (user = "ada") => tokens.connects.begin(user, "mail");
  /** What a browser is sent back with. */
  const visit = async (url: URL): Promise<string> => {
    const answer = await fetch(url, { redirect: "manual" });
    assert.equal(answer.status, 302, await answer.text());
    return new URL(answer.headers.get("location")!).search.slice(1);
  };
  const finish = (query: string, browser: string) =>
    tokens.connects.finish({ query, browser }, () => {});
  return { ...at, begin, visit, finish };
}

const VOID = { code: "CONNECT_INVALID" };

for (const kind of ["oauth2", "google", "feishu-v2", "feishu-v1"] as const)
  test(`${kind}: what a browser comes back with is redeemed once, and its token is kept and refreshed`, async (t) => {
    const { begin, visit, finish, tokens, provider, row, fresh } = await rig(t, kind);
    const { url, browser } = await begin();
    const query = await visit(url);
    const connected = await finish(query, browser);
    const { user, server, isRefreshed, expiresAt } = connected;
    assert.deepEqual([user, server, isRefreshed], ["ada", "mail", true]);
    assert.ok(expiresAt > Date.now() + 3_600_000);
    assert.equal(tokens.secretFor("ada", "mail"), await fresh());
    assert.equal(provider.calls.filter(({ path }) => !path.includes("internal")).length, 1);
    assert.equal(row().state, "idle");
    await tokens.refresh("ada", "mail");
    assert.match((await tokens.freshFor("ada", "mail", NEVER)) ?? "", /^u-ada-/);
    assert.equal(provider.calls.at(-1)?.outcome, "ok");
    await assert.rejects(finish(query, browser), VOID, "a state is good once");
  });

test("a state that is unknown, late, of another user or in another browser is refused, and the provider is not asked", async (t) => {
  const { begin, visit, finish, store, provider, tokens } = await rig(t);
  store.users.insert("bob", 1);
  const ada = await begin();
  const query = await visit(ada.url);
  const bob = await begin("bob");
  for (const [what, searched, browser] of [
    ["no state", "code=x", ada.browser],
    ["two states", `${query}&state=${"x".repeat(43)}`, ada.browser],
    ["no cookie", query, ""],
    ["another browser", query, "x".repeat(43)],
    ["the browser of another user", query, bob.browser],
  ] as const)
    await assert.rejects(finish(searched, browser), VOID, what);
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 600_000 });
  await assert.rejects(finish(query, ada.browser), VOID, "late");
  assert.deepEqual(provider.calls, []);
  t.mock.timers.reset();
  // None of that has used it up.
  await finish(query, ada.browser);
  assert.match(tokens.secretFor("ada", "mail")!, /^u-ada-/);
  assert.equal(tokens.secretFor("bob", "mail"), undefined);
});

test("a user who is disabled, or a server whose provider is another by now, gets nothing", async (t) => {
  const { begin, visit, finish, store, config, provider } = await rig(t);
  const one = await begin();
  const query = await visit(one.url);
  const { id } = store.users.find("ada")!;
  store.users.setState(id, "disabled");
  await assert.rejects(finish(query, one.browser), VOID);
  await assert.rejects(begin(), { code: "USER_NOT_FOUND" });
  store.users.setState(id, "enabled");
  config.servers["mail"]!.tokensFrom = null;
  await assert.rejects(finish(query, one.browser), VOID);
  await assert.rejects(begin(), VOID);
  assert.deepEqual(provider.calls, []);
});

test("of two that are begun at once the later one counts, and there is one token", async (t) => {
  const { begin, visit, finish, tokens, provider } = await rig(t);
  const [first, second] = [await begin(), await begin()];
  const queries = [await visit(first.url), await visit(second.url)];
  const ends = await Promise.allSettled([
    finish(queries[0]!, first.browser),
    finish(queries[1]!, second.browser),
  ]);
  assert.deepEqual(
    ends.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  assert.equal(provider.calls.length, 1);
  assert.equal(tokens.show("ada").length, 1);
});

test("what was begun is finished by the next daemon", async (t) => {
  const { begin, visit, tokens, store, vault, config } = await rig(t);
  const { url, browser } = await begin();
  const query = await visit(url);
  await tokens.close();
  const next = tokensOver({ store, vault }, config);
  t.after(() => next.close());
  next.connects.reachableAt({ callback: redirectUri, page: () => "" });
  await next.connects.finish({ query, browser }, () => {});
  assert.match(next.secretFor("ada", "mail")!, /^u-ada-/);
});

test("codes wait for their turn like all else that a provider is asked, four at once", async (t) => {
  const { begin, visit, finish, store, provider } = await rig(t);
  const users = Array.from({ length: 8 }, (_, at) => `user${at}`);
  const begun: [string, string][] = [];
  for (const user of users) {
    store.users.insert(user, 1);
    const { url, browser } = await begin(user);
    begun.push([await visit(url), browser]);
  }
  const held = Promise.withResolvers<void>();
  provider.beforeAnswer = () => held.promise;
  const all = begun.map(async ([query, browser]) => await finish(query, browser));
  await until(() => provider.calls.length >= 4, "four are there");
  // What was sent with them has come by then.
  await visit((await begin()).url);
  assert.equal(provider.calls.length, 4);
  held.resolve();
  await Promise.all(all);
  assert.equal(provider.calls.length, 8);
});

test("however often a user begins, nobody waits for the disk", async (t) => {
  const { begin, store } = await rig(t);
  const write = t.mock.method(store, "transaction");
  for (let i = 0; i < 10; i++) await begin();
  assert.equal(write.mock.callCount(), 0);
});

test("what was begun ends with the key or user that began it, a code that is being redeemed too, and bob's goes on", async (t) => {
  const { begin, visit, finish, store, tokens, provider } = await rig(t);
  store.users.insert("bob", 1);
  const bob = await begin("bob");
  const one = await begin();
  const query = await visit(one.url);
  tokens.connects.end("ada");
  await assert.rejects(finish(query, one.browser), VOID);
  assert.deepEqual(provider.calls, []);
  const two = await begin();
  const redeemed = await visit(two.url);
  provider.beforeAnswer = () => tokens.connects.end("ada");
  await assert.rejects(finish(redeemed, two.browser), VOID);
  assert.equal(tokens.secretFor("ada", "mail"), undefined);
  await finish(await visit(bob.url), bob.browser);
  assert.equal(tokens.show("bob").length, 1);
});

test("what is set or cleared while a code is redeemed stays: what comes of it is dropped", async (t) => {
  const { begin, visit, finish, tokens, provider } = await rig(t);
  for (const [change, left] of [
    [() => tokens.setRefreshToken("ada", "mail", "newer"), 1],
    [() => tokens.clear("ada", "mail"), 0],
    [() => void tokens.clearAll("ada"), 0],
  ] as const) {
    const { url, browser } = await begin();
    const query = await visit(url);
    provider.beforeAnswer = change;
    if (left === 0) tokens.setRefreshToken("ada", "mail", "older");
    await assert.rejects(finish(query, browser), VOID);
    assert.equal(tokens.secretFor("ada", "mail"), undefined);
    assert.equal(tokens.show("ada").length, left);
  }
});

test("a provider's refusal is told by its kind, with its code and none of its text", async (t) => {
  const { begin, visit, finish, provider } = await rig(t);
  const refused = async (why: string, message: RegExp) => {
    const { url, browser } = await begin();
    const query = await visit(url);
    await assert.rejects(finish(query, browser), {
      code: "PROVIDER_REFUSED",
      message,
      data: { why },
    });
  };
  provider.denies = "access_denied";
  await refused("denied", /: access_denied$/);
  provider.denies = "<script>";
  await refused("refused", /: an error without a code$/);
  provider.denies = undefined;
  provider.iss = "https://evil.example";
  await refused("refused", /another provider/);
  assert.deepEqual(provider.calls, []);
  provider.iss = provider.origin;
  provider.down = { status: 503, body: { error_description: "secret" } };
  await refused("unreachable", /: HTTP 503$/);
  provider.down = { status: 401, body: { error: "invalid_client" } };
  await refused("client", /: invalid_client$/);
});

test("a provider that gives no refresh token has its access token serve to its end, and then the user connects anew", async (t) => {
  const { begin, visit, finish, provider, tokens, row, fresh } = await rig(t);
  const { url, browser } = await begin();
  const query = await visit(url);
  provider.down = { status: 200, body: { access_token: "bare", token_type: "bearer" } };
  const { isRefreshed, expiresAt } = await finish(query, browser);
  assert.equal(isRefreshed, false);
  assert.equal(await fresh(), "bare");
  assert.deepEqual([row().state, row().reason], ["needs_reauth", "it gave no refresh token"]);
  t.mock.timers.enable({ apis: ["Date"], now: expiresAt });
  await assert.rejects(tokens.freshFor("ada", "mail", NEVER), { code: "TOKEN_EXPIRED" });
});
