import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { consent, cookieOf, postFrom } from "../helpers/browser-like.ts";
import { startFed } from "../helpers/fed.ts";
import { call, rpc } from "../helpers/fixtures.ts";
import { ask } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { record } from "../helpers/recorder.ts";
import { until } from "../helpers/until.ts";

const PAGE = "/u/alice/connect/one";
const CALLBACK = "/connect/callback";
const headers = { Authorization: "Bearer ${token}" };
const typeOf = ({ body }: Answer): string =>
  (JSON.parse(body) as { error: { type: string } }).error.type;

/** What a page says in English, without its markup. */
const textOf = ({ body }: Answer): string =>
  body
    .slice(body.indexOf("<main>"))
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ");

test("a user connects an account in a browser: the page takes the key, the provider sends back, and calls have the token", async (t) => {
  const remote = await record(t);
  const one = { url: `${remote.origin}/mcp`, headers };
  const { rig, provider } = await startFed(t, { kind: "oauth2" }, { one });
  const { daemon, auth } = rig;
  const { port, origin } = daemon;
  const key = auth[1]!.replace("Bearer ", "");
  const begin = () => postFrom(origin, port, PAGE, { key });
  const back = (to: URL, cookie: string) =>
    ask(port, { path: to.pathname + to.search, headers: ["cookie", `other=1; ${cookie}`] });

  const begun = await begin();
  assert.equal(begun.status, 200, begun.body);
  assert.match(
    String(begun.headers["set-cookie"]),
    /^mcps_connect=[\w-]{43}; Path=\/connect\/callback; Max-Age=600; HttpOnly; SameSite=Lax$/,
  );
  provider.redirectUri = origin + CALLBACK;
  const to = await consent(begun);
  assert.equal(to.origin + to.pathname, origin + CALLBACK);
  const connected = await back(to, cookieOf(begun));
  assert.equal(connected.status, 200, connected.body);
  const shown = textOf(connected);
  for (const text of [
    / alice /,
    / one /,
    / sso /,
    / offline_access /,
    /20\d\d-\d\d-\d\d \d\d:\d\d UTC/,
  ])
    assert.match(shown, text);
  assert.doesNotMatch(connected.body, /u-alice-|ur-alice-|code-\d/);
  assert.match(String(connected.headers["set-cookie"]), /^mcps_connect=; .*Max-Age=0/);

  assert.equal((await rig.post("/u/alice/one/mcp", call(1, "x"))).status, 200);
  assert.match(String(remote.requests.at(-1)?.headers.authorization), /^Bearer u-alice-\d+$/);

  const nothing = /Nothing was begun in this browser/;
  const asked = provider.calls.length;
  const replayed = await back(to, cookieOf(begun));
  assert.deepEqual(
    [replayed.status, replayed.headers["content-type"]],
    [400, "text/html; charset=utf-8"],
  );
  assert.match(textOf(replayed), nothing);
  assert.equal(replayed.headers["set-cookie"], undefined, "what was begun since goes on");
  const again = await begin();
  const abroad = await consent(again);
  for (const cookie of [cookieOf(begun), "", `${cookieOf(again)}; ${cookieOf(again)}`])
    assert.match(textOf(await back(abroad, cookie)), nothing, cookie);
  assert.equal(provider.calls.length, asked, "the provider was not asked for that");

  // The code of the one with the state of the other.
  const mixed = new URL(abroad);
  mixed.searchParams.set("code", to.searchParams.get("code")!);
  const refused = await back(mixed, cookieOf(again));
  assert.equal(refused.status, 502);
  assert.match(textOf(refused), /The provider refused to give a token/);

  provider.denies = "access_denied";
  const third = await begin();
  const denied = await back(await consent(third), cookieOf(third));
  assert.match(textOf(denied), /it was not agreed to/);
  assert.match(denied.body, new RegExp(`href="${origin}${PAGE}"`));

  const log = daemon.log();
  for (const secret of [
    key,
    cookieOf(begun).slice(13),
    to.searchParams.get("state")!,
    "u-alice-",
    "code-",
  ])
    assert.equal(log.includes(secret), false);
  const { stdout } = await daemon.cli(["audit", "alice"]);
  assert.match(stdout, /"what":"account connect","user":"alice"|account connect/);
});

test("only the page itself, with its user's key in the header, begins anything", async (t) => {
  const one = { url: "http://127.0.0.1:9/mcp", headers };
  const { rig } = await startFed(t, { kind: "oauth2" }, { one });
  const { daemon, auth } = rig;
  const { port, origin } = daemon;
  const key = auth[1]!.replace("Bearer ", "");
  const bob = (await daemon.addUser("bob")).key.secret;
  const bare = await ask(port, { method: "POST", path: PAGE, headers: [...auth], body: "{}" });
  const cases: [string, Answer, number, string][] = [
    ["no Origin", bare, 403, "ORIGIN_REFUSED"],
    [
      "a foreign Origin",
      await postFrom("https://evil.example", port, PAGE, { key }),
      403,
      "ORIGIN_REFUSED",
    ],
    [
      "another port",
      await postFrom("http://127.0.0.1:1", port, PAGE, { key }),
      403,
      "ORIGIN_REFUSED",
    ],
    [
      "another scheme",
      await postFrom(`https://127.0.0.1:${port}`, port, PAGE, { key }),
      403,
      "ORIGIN_REFUSED",
    ],
    [
      "another name",
      await postFrom(`http://localhost:${port}`, port, PAGE, { key }),
      403,
      "ORIGIN_REFUSED",
    ],
    ["null", await postFrom("null", port, PAGE, { key }), 403, "ORIGIN_REFUSED"],
    [
      "a form",
      await postFrom(origin, port, PAGE, { key, type: "text/plain" }),
      415,
      "TYPE_UNSUPPORTED",
    ],
    ["no JSON", await postFrom(origin, port, PAGE, { key, body: "x" }), 400, "REQUEST_INVALID"],
    [
      "1 MB",
      await postFrom(origin, port, PAGE, { key, body: "x".repeat(1_000_000) }),
      413,
      "BODY_TOO_LARGE",
    ],
    ["no key", await postFrom(origin, port, PAGE), 401, "KEY_MISSING"],
    ["a wrong key", await postFrom(origin, port, PAGE, { key: "mcps_x" }), 401, "KEY_INVALID"],
    ["another user's key", await postFrom(origin, port, PAGE, { key: bob }), 403, "USER_MISMATCH"],
    [
      "the key in the URL",
      await postFrom(origin, port, `${PAGE}?token=${key}`),
      400,
      "REQUEST_INVALID",
    ],
    [
      "no such server",
      await postFrom(origin, port, "/u/alice/connect/none", { key }),
      404,
      "SERVER_NOT_FOUND",
    ],
    [
      "a path beside it",
      await postFrom(origin, port, "/u/alice/connect", { key }),
      404,
      "NOT_FOUND",
    ],
  ];
  for (const [what, answer, status, type] of cases) {
    assert.deepEqual([answer.status, typeOf(answer)], [status, type], what);
    assert.equal(answer.headers["set-cookie"], undefined, what);
  }
  for (const [method, at] of [
    ["PUT", PAGE],
    ["HEAD", CALLBACK],
    ["POST", CALLBACK],
    ["POST", "/web/page.js"],
  ] as const)
    assert.equal(
      (await ask(port, { method, path: at, headers: auth })).status,
      405,
      `${method} ${at}`,
    );
});

test("pages say the same to everybody, run our script alone, and come in the language of the browser", async (t) => {
  const one = { url: "http://127.0.0.1:9/mcp", headers };
  const { rig } = await startFed(t, { kind: "oauth2" }, { one });
  const { port } = rig.daemon;
  const get = (at: string, more: string[] = []) => ask(port, { path: at, headers: more });
  const pages = [PAGE, "/invite", CALLBACK];
  for (const at of [...pages, "/web/page.js", "/web/page.css"]) {
    const page = await get(at);
    const policy = String(page.headers["content-security-policy"]);
    assert.match(
      policy,
      /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/,
    );
    assert.match(policy, /form-action 'none'; frame-ancestors 'none'$/);
    assert.equal(page.headers["referrer-policy"], "same-origin", at);
    assert.equal(page.headers["cache-control"], "no-store", at);
    assert.equal(page.headers["x-content-type-options"], "nosniff", at);
    if (!pages.includes(at)) continue;
    assert.equal(page.headers["content-type"], "text/html; charset=utf-8");
    assert.doesNotMatch(
      page.body,
      /<style|\sstyle=|\son\w+=|<script(?! src="\/web\/page\.js"><\/script>)/,
    );
    assert.match(page.body, /<html lang="en">/);
    const chinese = await get(at, ["accept-language", "en;q=0.5, zh-CN"]);
    assert.match(chinese.body, /<html lang="zh">.*id="in-zh" autocomplete="off" checked/s);
  }
  // Of a user and a server that are not there.
  const stranger = await get("/u/zed/connect/two");
  const { body } = await get(PAGE);
  assert.equal(stranger.body, body.replaceAll("alice", "zed").replaceAll(/\bone\b/g, "two"));
  const head = await ask(port, { method: "HEAD", path: PAGE });
  assert.deepEqual([head.status, head.body], [200, ""]);
});

test("an invite gives a key once, to whoever presses the button, and stands nowhere in clear; the prefix of publicUrl goes along", async (t) => {
  const one = { url: "http://127.0.0.1:9/mcp", headers };
  const publicUrl = "https://mcp.example.com/x";
  const { rig } = await startFed(t, { kind: "oauth2" }, { one }, { publicUrl });
  const { daemon } = rig;
  const { port } = daemon;
  const origin = "https://mcp.example.com";
  type Invited = {
    user: string;
    invite: { url: string; expiresAt: number };
    urls: { server: string }[];
  };
  const added = (await daemon.cli(["user", "add", "carol", "--invite"])).json<Invited>();
  assert.deepEqual(Object.keys(added), ["user", "invite", "urls"]);
  const codeIn = ({ invite }: Invited): string => {
    assert.match(invite.url, /^https:\/\/mcp\.example\.com\/x\/invite#[\w-]{43}$/);
    return new URL(invite.url).hash.slice(1);
  };
  const code = codeIn(added);
  for (let i = 0; i < 20; i += 1) {
    const method = i % 2 === 0 ? "GET" : "HEAD";
    assert.equal(
      (await ask(port, { method, path: i % 3 === 0 ? "/x/invite" : "/invite" })).status,
      200,
    );
  }
  const page = await ask(port, { path: "/x/invite" });
  assert.match(page.body, /<script src="\/x\/web\/page\.js"><\/script>/);
  assert.equal((await ask(port, { path: "/x/web/page.js" })).status, 200);
  const redeem = (body: object, from = origin) =>
    postFrom(from, port, "/x/invite", { body: JSON.stringify(body) });
  assert.equal(typeOf(await redeem({ code }, `http://127.0.0.1:${port}`)), "ORIGIN_REFUSED");
  const given = await redeem({ code });
  assert.equal(given.status, 200, given.body);
  const { user, key, urls, snippets, connect } = JSON.parse(given.body) as {
    user: string;
    key: { secret: string };
    urls: { http: string }[];
    snippets: { text: string }[];
    connect: object[];
  };
  assert.deepEqual([user, connect], ["carol", [{ server: "one", path: "/x/u/carol/connect/one" }]]);
  assert.equal(urls[0]?.http, `${publicUrl}/u/carol/mcp`);
  assert.ok(snippets.length > 5 && snippets.every(({ text }) => !text.includes(key.secret)));
  const auth = ["authorization", `Bearer ${key.secret}`];
  assert.equal(
    (await ask(port, { path: "/u/carol/mcp", headers: auth })).status,
    405,
    "the URL opens",
  );
  const begun = await postFrom(origin, port, "/x/u/carol/connect/one", { key: key.secret });
  assert.match(String(begun.headers["set-cookie"]), /; Path=\/x\/connect\/callback; .*; Secure$/);
  const { location } = JSON.parse(begun.body) as { location: string };
  assert.equal(new URL(location).searchParams.get("redirect_uri"), `${publicUrl}${CALLBACK}`);

  const next = codeIn((await daemon.cli(["user", "invite", "carol"])).json<Invited>());
  const revoked = await daemon.cli(["user", "invite", "carol", "--revoke"]);
  assert.deepEqual(revoked.json(), { user: "carol", revoked: true });
  const bodies = [{ code }, { code: next }, { code: "x" }, {}, { code: 1 }];
  const refusals = await Promise.all(bodies.map(async (body) => await redeem(body)));
  const said = refusals.map(
    ({ status, body }) => `${status} ${body.replace(/"requestId":"[^"]*"/, "")}`,
  );
  assert.equal(new Set(said).size, 1, said.join("\n"));
  assert.match(said[0]!, /^404 .*INVITE_INVALID/);

  const { stdout } = await daemon.cli(["audit", "carol"]);
  assert.match(stdout, /invite redeem/);
  const secrets = [code, next, key.secret];
  const texts = [daemon.log(), stdout];
  for (const name of readdirSync(daemon.dataDir).filter((file) => file.includes(".db")))
    texts.push(readFileSync(path.join(daemon.dataDir, name), "latin1"));
  for (const secret of secrets)
    for (const text of texts) assert.equal(text.includes(secret), false);
});

test("a call without a token that the user can renew names the page, as -32042 where the client can open it", async (t) => {
  const remote = await record(t);
  const servers = {
    one: { url: `${remote.origin}/mcp`, headers },
    two: { url: `${remote.origin}/sse`, headers },
  };
  const { rig, provider, set } = await startFed(t, { kind: "oauth2", expiresIn: 2 }, servers);
  const { daemon } = rig;
  const { origin } = daemon;
  const pageOf = (server: string) => `${origin}/u/alice/connect/${server}`;
  assert.equal((await daemon.cli(["token", "clear", "alice"])).code, 0);
  const never = await rig.post("/u/alice/one/mcp", call(0, "x"));
  const said = (body: string) =>
    (JSON.parse(body) as { error: { code: number; message: string; data: object } }).error;
  assert.equal(never.status, 503, never.body);
  assert.match(said(never.body).message, new RegExp(`connect it at ${pageOf("one")}$`));
  const { requestId: _, ...missing } = said(never.body).data as Record<string, unknown>;
  assert.deepEqual(missing, { type: "TOKEN_MISSING", connectUrl: pageOf("one") });

  for (const server of ["one", "two"]) await set(server, server);
  const capabilities = { elicitation: { url: {} } };
  const hello = (declared: object) =>
    rpc("hello", "initialize", {
      protocolVersion: "2025-11-25",
      capabilities: declared,
      clientInfo: { name: "test", version: "1" },
    });
  const begin = async (declared: object) => {
    const { status, headers: got, body } = await rig.post("/u/alice/one/mcp", hello(declared));
    assert.equal(status, 200, body);
    return ["mcp-session-id", String(got["mcp-session-id"])];
  };
  const [able, unable] = [await begin(capabilities), await begin({ elicitation: { form: {} } })];
  const stream = await rig.stream("/u/alice/two/sse");
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  await rig.post(endpoint, hello(capabilities));
  await until(() => stream.messages().length > 0, "the server has answered");
  // The provider takes neither any more.
  for (const account of ["one", "two"]) provider.grant(account);
  const { refreshed } = JSON.parse((await daemon.cli(["token", "refresh", "alice"])).stdout) as {
    refreshed: { server: string }[];
  };
  assert.equal(refreshed.length, 2);

  const refusal = await until(async () => {
    const answer = await rig.post("/u/alice/one/mcp", call("a", "x"), unable);
    return answer.status === 503 ? said(answer.body) : undefined;
  }, "the token is over");
  assert.match(
    refusal.message,
    new RegExp(`needs|no longer refreshes it .*connect it at ${pageOf("one")}$`),
  );
  assert.equal((refusal.data as { connectUrl: string }).connectUrl, pageOf("one"));
  const offered = await rig.post("/u/alice/one/mcp", call("b", "x"), able);
  const elicitation = (of: { code: number; data: object }, server: string) => {
    assert.equal(of.code, -32042);
    const { elicitations } = of.data as { elicitations: Record<string, string>[] };
    assert.equal(elicitations.length, 1);
    const [{ mode, url, elicitationId, message } = {}] = elicitations;
    assert.deepEqual([mode, url], ["url", pageOf(server)]);
    assert.ok(elicitationId !== undefined && message !== undefined);
  };
  assert.equal(offered.status, 200);
  elicitation(said(offered.body), "one");
  let count = 0;
  const failed = await until(async () => {
    const id = `c${(count += 1)}`;
    await rig.post(endpoint, call(id, "x"));
    const answer = await until(
      () => stream.messages().find((message) => message.id === id),
      "the call is answered",
    );
    return (answer as unknown as { error?: { code: number; data: object } }).error;
  }, "this token is over, too");
  elicitation(failed, "two");
});
