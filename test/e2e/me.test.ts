import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TestContext } from "node:test";
import { SignedIn, asOwnPage, cookieIn } from "../helpers/browser-session.ts";
import { orderControl } from "../helpers/control.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call as callOf, initialize, json } from "../helpers/fixtures.ts";
import { ask, missingForBrowsers } from "../helpers/raw-http.ts";
import { until } from "../helpers/until.ts";

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'";

interface Key {
  id: string;
  secret: string;
}

/** One daemon for the file, which its first test brings along: alice and bob, and the echo server. */
let daemon: TestDaemon;
let alice: Key;
let bob: Key;
const ends: (() => unknown)[] = [];

before(async () => {
  const t = { after: (end: () => unknown) => void ends.unshift(end) } as unknown as TestContext;
  daemon = await startDaemon(t, {
    config: {
      servers: {
        echo: echoServer("http"),
        feishu: { builtin: "feishu-token", sessionConfig: true },
      },
      defaultServer: "echo",
      selfService: true,
      pages: { logs: true },
      trustProxy: ["127.0.0.1"],
    },
  });
  alice = (await daemon.addUser("alice", "token-of-alice")).key;
  bob = (await daemon.addUser("bob", "token-of-bob")).key;
});
after(async () => {
  for (const end of ends) await end();
});

const signIn = (key = alice.secret): Promise<SignedIn> => SignedIn.with(daemon, key);
const newKey = async (user = "alice"): Promise<Key> =>
  (await daemon.cli(["key", "issue", user])).json<Key>();
const typeOf = (body: string): string | undefined => /"type":"([A-Z_]+)"/.exec(body)?.[1];

test("the page is the same for everybody, runs our modules alone, and its parts come from memory by ETag", async () => {
  const { port } = daemon;
  const page = await ask(port, { path: "/me", headers: ["accept-language", "zh-CN"] });
  assert.equal(page.status, 200);
  assert.equal(page.headers["content-security-policy"], POLICY);
  assert.equal(page.headers["cache-control"], "no-store");
  assert.equal(page.headers["referrer-policy"], "same-origin");
  assert.equal(page.headers["cross-origin-opener-policy"], "same-origin");
  assert.equal(page.headers["x-content-type-options"], "nosniff");
  assert.match(page.body, /<html lang="zh">[^]*<noscript>/);
  assert.doesNotMatch(page.body, /<style|\sstyle=|\son\w+=|<script(?! type="module" src="\/web)/);
  let bytes = page.body.length;
  for (const [, path] of page.body.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const part = await ask(port, { path: path! });
    assert.equal(part.status, 200, path);
    assert.equal(part.headers["content-security-policy"], POLICY, path);
    if (!page.body.includes(`src="${path}"`)) bytes += part.body.length;
    const headers = ["if-none-match", String(part.headers.etag)];
    const again = await ask(port, { path: path!, headers });
    assert.deepEqual([again.status, again.body], [304, ""], path);
  }
  assert.ok(bytes < 150_000, `${bytes} bytes`);
  for (const path of ["/me/x", "/web/me", "/web/me/..%2fx.js", "/web/../me/main.js", "/me/api"])
    assert.equal((await ask(port, { path, headers: bearer(alice.secret) })).status, 404, path);
  const posted = await ask(port, { method: "POST", path: "/me", body: "{}" });
  assert.equal(posted.status, 405);
});

test("a key in a form gives a cookie of its own, which opens the user's own page and nothing else", async () => {
  const { port, origin } = daemon;
  const body = JSON.stringify({ key: alice.secret });
  const at = { method: "POST", path: "/me/api/session", headers: asOwnPage(origin) };
  const answer = await ask(port, { ...at, body });
  assert.match(
    String(answer.headers["set-cookie"]),
    /^mcps_session=[\w-]{43}; Max-Age=604800; Path=\/me\/api; HttpOnly; SameSite=Strict$/,
  );
  assert.deepEqual(missingForBrowsers(answer), []);
  assert.equal(answer.body.includes(alice.secret), false);
  const cookie = cookieIn(answer);
  const secret = cookie.split("=")[1]!;
  for (const [method, path] of [
    ["GET", "/u/alice/sse"],
    ["POST", "/u/alice/mcp"],
    ["PUT", "/u/alice/token"],
    ["POST", "/u/alice/connect/echo"],
    ["POST", "/tools"],
    ["GET", "/tools/list"],
    ["GET", "/servers"],
    ["GET", "/api/status"],
    ["GET", "/metrics"],
    ["GET", "/health/x"],
  ] as const) {
    const headers = [...asOwnPage(origin), "cookie", cookie];
    const refused = await ask(port, {
      method,
      path,
      headers,
      ...(method === "GET" ? {} : { body }),
    });
    assert.equal(refused.status, 401, `${method} ${path}`);
    const asKey = await ask(port, {
      method,
      path,
      headers: [...asOwnPage(origin), ...bearer(secret)],
    });
    assert.equal(asKey.status, 401, `${path} with the cookie's value as a key`);
  }
  // A key is no cookie either.
  for (const headers of [bearer(alice.secret), ["cookie", `mcps_session=${alice.secret}`]]) {
    const path = `/me/api/session?token=${alice.secret}`;
    assert.equal((await ask(port, { path, headers })).status, 401);
  }
  for (const wrong of [`${cookie}; ${cookie}`, `${cookie}x`, `x${cookie}`, cookie.toUpperCase()])
    assert.equal(
      (await ask(port, { path: "/me/api/session", headers: ["cookie", wrong] })).status,
      401,
    );
  for (const bad of ['{"key":"mcps_x"}', '{"key":1}', '{"key":"x","x":1}', "[]", "nonsense"]) {
    const { status } = await ask(port, { ...at, body: bad });
    assert.equal(status, bad.includes("mcps_x") ? 401 : 400, bad);
  }
});

test("ten tries with a wrong key in a minute are all that an address has, and a good one passes still", async () => {
  const { port, origin } = daemon;
  const from = ["x-forwarded-for", "203.0.113.7"];
  const tryKey = async (key: string): Promise<number> => {
    const headers = [...asOwnPage(origin), ...from];
    const body = JSON.stringify({ key });
    return (await ask(port, { method: "POST", path: "/me/api/session", headers, body })).status;
  };
  const statuses = [];
  for (let count = 0; count < 12; count += 1) statuses.push(await tryKey("mcps_wrong"));
  assert.deepEqual(statuses, [...Array<number>(10).fill(401), 429, 429]);
  assert.equal(await tryKey(alice.secret), 201);
});

test("a server of many words is called by its slug, and the page says what it is for", async () => {
  const made = {
    name: "Mail & <b>more</b>",
    description: "Reads mail",
    url: "http://127.0.0.1:9/mcp",
  };
  const { slug } = await orderControl<{ slug: string }>(
    daemon.socket,
    "POST",
    "/api/mcp/configs",
    made,
  );
  await daemon.cli(["user", "grant", "@all", slug]);
  const session = await signIn();
  const rows = await session.json<{ servers: Record<string, unknown>[] }>("GET", "servers");
  const row = rows.servers.find((server) => server["slug"] === slug);
  assert.deepEqual([row?.["name"], row?.["description"]], [made.name, made.description]);
  await daemon.cli(["user", "ungrant", "@all", slug]);
});

test("what no page of ours sends is refused before it changes anything, and a forwarded port works", async () => {
  const { port, origin } = daemon;
  const session = await signIn();
  const good: Record<string, string> = {
    origin,
    "x-mcp-supervisor": "1",
    "content-type": "application/json",
    "sec-fetch-site": "same-origin",
    cookie: session.cookie,
  };
  const flaws: Record<string, string | undefined>[] = [
    { origin: undefined },
    { origin: "null" },
    { origin: "http://evil.example" },
    { origin: `http://127.0.0.1:${port + 1}` },
    { origin: origin.replace("http:", "https:") },
    { origin: origin.replace("127.0.0.1", "localhost") },
    { "x-mcp-supervisor": undefined },
    { "x-mcp-supervisor": "0" },
    { "content-type": "text/plain" },
    { "content-type": undefined },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "none" },
  ];
  const write = async (headers: Record<string, string | undefined>): Promise<number> => {
    const sent = Object.entries({ ...good, ...headers }).filter(([, value]) => value !== undefined);
    const body = JSON.stringify({ label: "by a stranger" });
    const at = { method: "POST", path: "/me/api/keys", headers: sent.flat() as string[], body };
    return (await ask(port, at)).status;
  };
  for (const flaw of flaws) assert.equal(await write(flaw), 403, JSON.stringify(flaw));
  const { keys } = await session.json<{ keys: { label: string }[] }>("GET", "keys");
  assert.equal(keys.filter(({ label }) => label === "by a stranger").length, 0);
  assert.equal(await write({}), 201);
  const read = await ask(port, {
    path: "/me/api/keys",
    headers: ["cookie", session.cookie, "sec-fetch-site", "same-site"],
  });
  assert.equal(read.status, 403);
  // What has no such path is no other one.
  for (const path of ["session/x", "tools/x", "token/x", "servers/x"])
    assert.equal((await session.ask("POST", path, { key: alice.secret })).status, 404, path);
  // GET changes nothing, whatever it says.
  for (const path of ["sessions", "keys/x", "accounts/echo", "token"])
    assert.ok([200, 404, 405].includes((await session.ask("GET", path)).status), path);
});

test("keys are issued, named, given an end and revoked; a secret is shown once, and another user's are not there", async () => {
  const session = await signIn();
  const endsAt = Date.now() + 3_600_000;
  const made = await session.json<Key>(
    "POST",
    "keys",
    { label: "<b>x</b>", expiresAt: endsAt },
    201,
  );
  assert.match(made.secret, /^mcps_\w{36}$/);
  const changed = await session.json<object>("PATCH", `keys/${made.id}`, { label: "laptop" });
  assert.deepEqual(changed, { ...changed, id: made.id, label: "laptop", expiresAt: endsAt });
  const listed = await session.ask("GET", "keys");
  assert.equal(listed.body.includes(made.secret), false);
  assert.match(listed.body, /"label":"laptop"/);
  for (const [method, id] of [
    ["DELETE", bob.id],
    ["PATCH", bob.id],
    ["DELETE", "key_nonsense"],
  ] as const)
    assert.equal(typeOf((await session.ask(method, `keys/${id}`, {})).body), "KEY_NOT_FOUND");
  for (const bad of [{ user: "bob" }, { label: 1 }, { expiresAt: 1 }, { label: "a\nb" }])
    assert.equal((await session.ask("POST", "keys", bad)).status, 400, JSON.stringify(bad));
  await session.json("DELETE", `keys/${made.id}`);
  assert.equal(
    (await ask(daemon.port, { path: "/servers", headers: bearer(made.secret) })).status,
    401,
  );
});

test("who signs in with a key that ends gives no key that lasts longer", async () => {
  const own = await signIn();
  const endsAt = Date.now() + 3_600_000;
  const bounded = await own.json<Key>("POST", "keys", { expiresAt: endsAt }, 201);
  const session = await signIn(bounded.secret);
  for (const expiresAt of [null, endsAt + 1]) {
    assert.equal((await session.ask("POST", "keys", { expiresAt })).status, 400);
    const changed = await session.ask("PATCH", `keys/${bounded.id}`, { expiresAt });
    assert.equal(changed.status, 400, changed.body);
  }
  const next = await session.json<{ expiresAt: number }>("POST", "keys", {}, 201);
  assert.equal(next.expiresAt, endsAt, "it ends with it unless told");
  await session.json("PATCH", `keys/${bounded.id}`, { expiresAt: endsAt - 1 });
});

test("a session ends with its key, by sign-out, everywhere, and with the user; a call that is under way at once", async () => {
  const out = async (session: SignedIn): Promise<boolean> =>
    (await session.ask("GET", "session")).status === 401;
  const key = await newKey();
  const [one, two, three] = [await signIn(key.secret), await signIn(), await signIn()];
  await daemon.cli(["key", "revoke", key.id]);
  assert.equal(await out(one), true, "its key was revoked");
  await two.json("DELETE", "session");
  assert.equal(await out(two), true, "it was signed out");
  assert.equal(await out(three), false);
  const { sessions, current } = await three.json<{ sessions: { id: string }[]; current: string }>(
    "GET",
    "sessions",
  );
  assert.ok(sessions.some(({ id }) => id === current));
  const strangers = await signIn(bob.secret);
  assert.equal((await strangers.ask("DELETE", `sessions/${current}`)).status, 404);
  const slow = three
    .ask("POST", "tools", { method: "sleep", args: { ms: 60_000 }, server: "echo", strict: true })
    .then(
      ({ status }) => status,
      () => "cut off",
    );
  await until(
    async () => /"inFlight":[1-9]/.test((await daemon.cli(["status", "--json"])).stdout),
    "the call is under way",
  );
  await (await signIn()).json("DELETE", `sessions/${current}`);
  assert.equal(await slow, "cut off");
  assert.equal(await out(three), true);
  const [four, five] = [await signIn(), await signIn()];
  await four.json("DELETE", "sessions");
  assert.deepEqual([await out(four), await out(five)], [true, true]);
  await daemon.cli(["user", "disable", "bob"]);
  await daemon.cli(["user", "enable", "bob"]);
  assert.equal(await out(strangers), true);
});

test("the sessions of a user's own clients are listed, and ended by nobody else", async () => {
  const session = await signIn();
  const started = await ask(daemon.port, {
    method: "POST",
    path: "/u/alice/mcp",
    headers: [...bearer(alice.secret), ...json],
    body: initialize(),
  });
  const mcp = ["mcp-session-id", String(started.headers["mcp-session-id"])];
  const { sessions } = await session.json<{ sessions: { id: string; server: string }[] }>(
    "GET",
    "clients",
  );
  assert.deepEqual(
    sessions.map(({ server }) => server),
    ["echo"],
  );
  const { id } = sessions[0]!;
  const strangers = await signIn(bob.secret);
  assert.deepEqual(await strangers.json("GET", "clients"), { sessions: [] });
  assert.equal((await strangers.ask("DELETE", `clients/${id}`)).status, 404);
  await session.json("DELETE", `clients/${id}`);
  const headers = [...bearer(alice.secret), ...json, ...mcp];
  const body = callOf("after", "echo", { message: "x" });
  const gone = await ask(daemon.port, { method: "POST", path: "/u/alice/mcp", headers, body });
  assert.equal(gone.status, 404);
});

test("the playground calls as POST /tools does, settings come in the body, and the audit says page", async () => {
  const session = await signIn();
  const { tools } = await session.json<{ tools: { name: string }[] }>("GET", "tools?server=echo");
  assert.ok(tools.some(({ name }) => name === "echo"));
  const call = { method: "echo", args: { message: "<img src=x>" }, server: "echo", strict: true };
  const answered = await session.ask("POST", "tools", call);
  const same = await ask(daemon.port, {
    method: "POST",
    path: "/tools",
    headers: [...bearer(alice.secret), "content-type", "application/json"],
    body: JSON.stringify(call),
  });
  assert.deepEqual([answered.status, answered.body], [200, same.body]);
  const { calls } = await session.json<{ calls: { tool: string; who: string }[] }>("GET", "calls");
  assert.deepEqual(
    calls.slice(0, 2).map(({ tool, who }) => [tool, who]),
    [
      ["echo", null],
      ["echo", "page"],
    ],
  );
  const settings = { app_id: "cli_1", app_secret: "" };
  const half = { method: "get_feishu_app_token", server: "feishu", strict: true, settings };
  assert.equal((await session.ask("POST", "tools", half)).status, 400);
  const strangers = await (await signIn(bob.secret)).ask("GET", "calls");
  assert.equal(strangers.body, '{"calls":[]}');
});

test("servers, snippets, accounts and logs are the session's user's own, and hold no secret", async () => {
  const session = await signIn();
  const { servers } = await session.json<{ servers: { name: string; hasSettings: boolean }[] }>(
    "GET",
    "servers",
  );
  assert.deepEqual(
    servers.map(({ name, hasSettings }) => [name, hasSettings]),
    [
      ["echo", false],
      ["feishu", true],
    ],
  );
  const { urls } = await session.json<{ urls: { http: string }[] }>("GET", "urls");
  assert.equal(urls[0]!.http, `${daemon.origin}/u/alice/mcp`);
  const token = { token: "a-token-of-my-own", server: "echo" };
  assert.equal((await session.ask("PUT", "token", token)).status, 204);
  const said: string[] = [];
  for (const path of [
    "accounts",
    "servers",
    "urls",
    "keys",
    "sessions",
    "calls",
    "session",
    "logs?server=echo",
  ]) {
    const { status, body } = await session.ask("GET", path);
    assert.equal(status, 200, path);
    said.push(body);
  }
  assert.match(said[0]!, /"fingerprint":"sha256:/);
  for (const secret of [
    "a-token-of-my-own",
    "token-of-alice",
    alice.secret,
    session.cookie.slice(13),
  ])
    assert.equal(said.join("\n").includes(secret), false);
  assert.equal((await session.ask("POST", "accounts/echo")).status, 400);
  assert.equal((await session.ask("POST", "accounts/nothing")).status, 404);
});
