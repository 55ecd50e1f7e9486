import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { SignedIn, asOwnPage } from "../helpers/browser-session.ts";
import { orderControl } from "../helpers/control.ts";
import { startDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { bearer, call, initialize } from "../helpers/fixtures.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { EventStream, ask, missingForBrowsers } from "../helpers/raw-http.ts";
import type { Answer } from "../helpers/raw-http.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const INITIALIZE = initialize();
const callOf = (message: string) => call(message, "echo", { message });
const JWT_SECRET = "0123456789abcdef0123456789abcdef";
const jwtOf = (user: string, exp = inSeconds(3600), secret = JWT_SECRET): string =>
  signedJwt(secret, { user_id: user, exp });

/** The parts of a refusal that may not differ between users: all but the request id. */
function essence({ status, headers, body }: Answer): unknown {
  const { date: _date, ...rest } = headers;
  return { status, headers: rest, body: body.replace(/\b[0-9a-f]{8}-\w{7}\b/, "") };
}

test("the impersonation matrix: only the owner's own key gets through, and refusals do not tell users apart", async (t) => {
  const secretFile = join(temporaryFolder(t), "jwt.secret");
  writeFileSync(secretFile, JWT_SECRET, { mode: 0o400 });
  const daemon = await startDaemon(t, {
    config: {
      jwt: { issuers: [{ secretFile }] },
      admin: { host: "127.0.0.1", port: 0 },
      selfService: true,
      servers: {
        everything: { ...echoServer("sse"), routes: ["/stats"] },
        streamable: echoServer("http"),
        feishu: { builtin: "feishu-token", sessionConfig: true },
      },
      defaultServer: "everything",
    },
  });
  const { port } = daemon;
  const alice = await daemon.addUser("alice", "token-of-alice");
  const bob = await daemon.addUser("bob", "token-of-bob");
  const carol = await daemon.addUser("carol", "token-of-carol");
  const own = alice.key.secret;
  // One that bob may use and alice may not.
  const granted = { name: "granted", url: "http://127.0.0.1:9/mcp" };
  await orderControl(daemon.socket, "POST", "/api/mcp/configs", granted);
  await orderControl(daemon.socket, "PUT", "/api/users/bob/grants?server=granted", {});

  const revoked = (await daemon.cli(["key", "issue", "alice"])).json<{
    id: string;
    secret: string;
  }>();
  await daemon.cli(["key", "revoke", revoked.id]);
  const other = (await daemon.cli(["key", "issue", "alice"])).json<{ secret: string }>();
  const expired = (await daemon.cli(["key", "issue", "alice", "--expires", "5s"])).json<{
    secret: string;
  }>();
  await daemon.cli(["user", "disable", "carol"]);
  await until(
    async () =>
      (await ask(port, { path: "/u/alice/mcp", headers: bearer(expired.secret) })).status === 401,
    "the key has expired",
  );

  // The owner's sessions that everybody else tries to get into.
  const stream = await EventStream.open(port, { path: "/u/alice/sse", headers: bearer(own) });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  assert.equal(
    (
      await ask(port, {
        method: "POST",
        path: endpoint,
        headers: [...bearer(own), "content-type", "application/json"],
        body: INITIALIZE,
      })
    ).status,
    202,
  );
  const started = await ask(port, {
    method: "POST",
    path: "/u/alice/streamable/mcp",
    headers: [...bearer(own), "content-type", "application/json"],
    body: INITIALIZE,
  });
  const sessionId = String(started.headers["mcp-session-id"]);
  assert.equal(started.status, 200);

  const ownPage = await SignedIn.with(daemon, own);
  const { url } = (await daemon.cli(["panel"])).json<{ url: string }>();
  const panel = new URL(url);
  const signedIn = await fetch(new URL("/api/panel/sessions", panel), {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-mcp-supervisor": "1",
      origin: panel.origin,
    },
    body: JSON.stringify({ code: panel.hash.slice(1) }),
  });
  const { session: panelSession } = (await signedIn.json()) as { session: string };

  const adminToken = readFileSync(join(daemon.dataDir, "admin.token"), "utf8").trim();
  const flipped = own.slice(0, 10) + (own[10] === "a" ? "b" : "a") + own.slice(11);
  const CREDENTIALS: Record<
    string,
    { header: string[]; query: string | undefined; type: string | undefined }
  > = {
    "no secret": { header: [], query: undefined, type: "KEY_MISSING" },
    "an empty secret": {
      header: ["authorization", "Bearer "],
      query: "token=",
      type: "KEY_INVALID",
    },
    "another scheme": {
      header: ["authorization", `Basic ${own}`],
      query: "token=Bearer%20x",
      type: "KEY_INVALID",
    },
    "the user's name": { header: bearer("alice"), query: "token=alice", type: "KEY_INVALID" },
    "a key with one letter changed": {
      header: bearer(flipped),
      query: `token=${flipped}`,
      type: "KEY_INVALID",
    },
    "a key with a tail": { header: bearer(`${own}x`), query: `token=${own}x`, type: "KEY_INVALID" },
    "two keys in one header": {
      header: bearer(`${own}, ${own}`),
      query: `token=${own},${own}`,
      type: "KEY_INVALID",
    },
    "the session id": {
      header: bearer(sessionId),
      query: `token=${sessionId}`,
      type: "KEY_INVALID",
    },
    "the admin token": {
      header: bearer(adminToken),
      query: `token=${adminToken}`,
      type: "KEY_INVALID",
    },
    "a session of the admin panel": {
      header: bearer(panelSession),
      query: `token=${panelSession}`,
      type: "KEY_INVALID",
    },
    "a revoked key": {
      header: bearer(revoked.secret),
      query: `token=${revoked.secret}`,
      type: "KEY_INVALID",
    },
    "an expired key": {
      header: bearer(expired.secret),
      query: `token=${expired.secret}`,
      type: "KEY_INVALID",
    },
    "a disabled user's key": {
      header: bearer(carol.key.secret),
      query: `token=${carol.key.secret}`,
      type: "KEY_INVALID",
    },
    "two headers, own first": {
      header: [...bearer(own), ...bearer(bob.key.secret)],
      query: `token=${own}&token=${bob.key.secret}`,
      type: "KEY_INVALID",
    },
    "two headers, own last": {
      header: [...bearer(bob.key.secret), ...bearer(own)],
      query: `token=${bob.key.secret}&token=${own}`,
      type: "KEY_INVALID",
    },
    "two headers, both own": {
      header: [...bearer(own), ...bearer(own)],
      query: `token=${own}&token=${own}`,
      type: "KEY_INVALID",
    },
    "another user's key, and the owner named beside it": {
      header: [
        ...bearer(bob.key.secret),
        "x-forwarded-user",
        "alice",
        "x-user-id",
        "alice",
        "x-original-url",
        "/u/bob/sse",
        "forwarded",
        "for=127.0.0.1",
        "cookie",
        "user=alice",
      ],
      query: `user=alice&token=${bob.key.secret}`,
      type: "USER_MISMATCH",
    },
    "another user's key": {
      header: bearer(bob.key.secret),
      query: `token=${bob.key.secret}`,
      type: "USER_MISMATCH",
    },
    ...Object.fromEntries(
      Object.entries({
        "an expired JWT": [jwtOf("alice", inSeconds(-3600)), "KEY_INVALID"],
        "a JWT signed with another secret": [jwtOf("alice", undefined, "x"), "KEY_INVALID"],
        "a disabled user's JWT": [jwtOf("carol"), "KEY_INVALID"],
        "another user's JWT": [jwtOf("bob"), "USER_MISMATCH"],
      } as const).map(([name, [jwt, wrong]]) => [
        name,
        { header: bearer(jwt), query: `token=${jwt}`, type: wrong },
      ]),
    ),
    "the cookie of the owner's page": {
      header: ["cookie", ownPage.cookie, "x-mcp-supervisor", "1", "sec-fetch-site", "same-origin"],
      query: undefined,
      type: "KEY_MISSING",
    },
    "the cookie's value as a key": {
      header: bearer(ownPage.cookie.split("=")[1]!),
      query: `token=${ownPage.cookie.split("=")[1]!}`,
      type: "KEY_INVALID",
    },
    "the own key and the own JWT": {
      header: [...bearer(own), ...bearer(jwtOf("alice"))],
      query: `token=${own}&token=${jwtOf("alice")}`,
      type: "KEY_INVALID",
    },
    "the own JWT": {
      header: bearer(jwtOf("alice")),
      query: `token=${jwtOf("alice")}`,
      type: undefined,
    },
    "the user's other key": {
      header: bearer(other.secret),
      query: `token=${other.secret}`,
      type: undefined,
    },
    "the own key": { header: bearer(own), query: `token=${own}`, type: undefined },
  };

  const session = endpoint.split("?")[1]!;
  const ROUTES: [string, string, string][] = [
    ...["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH"].map((verb): [string, string, string] => [
      verb,
      "/sse",
      "",
    ]),
    ...["POST", "GET", "DELETE", "PUT"].map((verb): [string, string, string] => [
      verb,
      "/messages",
      session,
    ]),
    ...["POST", "GET", "PUT"].map((verb): [string, string, string] => [
      verb,
      "/streamable/mcp",
      "",
    ]),
    // What the URL says of the session is read last.
    ["POST", "/feishu/mcp", "app_id=cli_1&app_secret=secret-of-the-app"],
    ["POST", "/feishu/mcp", "config=bm9uc2Vuc2U"],
    ["GET", "/everything/sse", ""],
    ["POST", "/everything/messages/", session],
    ["POST", "/connect/everything", ""],
    ["PUT", "/connect/everything", ""],
    ["PUT", "/token", ""],
    ["GET", "/everything/-/stats", ""],
    ["POST", "/everything/-/stats", ""],
    ["GET", "/everything/-/secret", ""],
    ["GET", "/nothing/-/stats", ""],
    ["GET", "/nothing/sse", ""],
    ["GET", "/granted/sse", ""],
    ["POST", "/granted/mcp", ""],
    ["POST", "/connect/granted", ""],
    ["GET", "/mcp", ""],
  ];
  const GRAMMATICAL = (user: string) => [`/u/${user}`];
  const MISSPELT = (user: string) => [
    `/u//${user}`,
    `/u/./${user}`,
    `/u/${user}/../${user}`,
    `/u/%61lice`,
    `/u/bob/..%2f${user}`,
    `/u/bob\\..\\${user}`,
    `/u/${user.toUpperCase()}`,
    `/u/${user}/x/y`,
  ];
  let cells = 0;

  async function knock(
    base: string,
    [method, leaf, query]: [string, string, string],
    name: string,
    isHeader: boolean,
    extra = "",
    body = callOf(`by ${name.replace("the own key", "owner")}`),
  ): Promise<Answer | undefined> {
    const credential = CREDENTIALS[name]!;
    if (!isHeader && credential.query === undefined) return undefined;
    cells += 1;
    const parts = [query, isHeader ? "" : credential.query!].filter((part) => part !== "");
    const hasBody = method !== "GET" && method !== "HEAD";
    const path = `${base}${leaf}${extra}${parts.length === 0 ? "" : `?${parts.join("&")}`}`;
    const answer = await ask(port, {
      method,
      path,
      headers: [
        ...(isHeader ? credential.header : []),
        "mcp-session-id",
        sessionId,
        // That of our own pages, which alone may post there.
        "origin",
        daemon.origin,
        "accept",
        "application/json, text/event-stream",
        ...(hasBody ? ["content-type", "application/json"] : []),
      ],
      ...(hasBody ? { body } : {}),
    });
    // What a server's own route answers keeps its type, and is a page of no origin.
    const isOwn = leaf.endsWith("/-/stats") && answer.status === 200;
    const missing = missingForBrowsers(answer);
    assert.deepEqual(missing, isOwn ? ["content-security-policy"] : [], `${method} ${path}`);
    if (isOwn) assert.equal(answer.headers["content-security-policy"], "sandbox");
    return answer;
  }

  const typeOf = (answer: Answer) =>
    answer.body === "" ? undefined : (/"type":"([A-Z_]+)"/.exec(answer.body)?.[1] ?? "none");

  for (const name of Object.keys(CREDENTIALS)) {
    const { type } = CREDENTIALS[name]!;
    for (const route of ROUTES) {
      for (const isHeader of [true, false]) {
        const where = `${name} in the ${isHeader ? "header" : "query"}: ${route[0]} ${route[1]}`;
        for (const base of GRAMMATICAL("alice")) {
          const answer = await knock(base, route, name, isHeader);
          if (answer === undefined) continue;
          if (type === undefined) {
            assert.ok(answer.status !== 401 && answer.status !== 403, `${where}: ${answer.status}`);
            // The owner's sessions are the key's that opened them.
            const [verb, leaf] = route;
            const isOfSession =
              (leaf === "/messages" && verb === "POST") ||
              (leaf === "/streamable/mcp" && verb !== "PUT");
            if (leaf.startsWith("/granted/")) assert.equal(answer.status, 404, where);
            if (name === "the user's other key" && isOfSession)
              assert.equal(answer.status, 404, where);
          } else {
            assert.equal(answer.status, type === "USER_MISMATCH" ? 403 : 401, where);
            if (route[0] !== "HEAD") assert.equal(typeOf(answer), type, where);
            // The same key on the path of a user who is not there.
            const nobody = await knock("/u/nobody", route, name, isHeader);
            assert.deepEqual(essence(nobody!), essence(answer), where);
          }
        }
        if (route !== ROUTES[0] && route[1] !== "/messages") continue;
        for (const base of MISSPELT("alice")) {
          const answer = await knock(base, route, name, isHeader);
          if (answer === undefined) continue;
          const expected = type === undefined || type === "USER_MISMATCH" ? 404 : 401;
          assert.equal(answer.status, expected, `${where} as ${base}`);
        }
      }
    }
  }
  // Where no path names a user, the secret alone does: another user's key has that user's tools.
  const TOOL_ROUTES: [string, string, string][] = [
    ["POST", "/tools", ""],
    ["GET", "/tools", ""],
    ["GET", "/tools/list", ""],
    ["DELETE", "/tools/list", ""],
    ["GET", "/servers/", "user=alice"],
  ];
  const toolCall = JSON.stringify({ method: "echo", args: { message: "by the matrix" } });
  for (const name of Object.keys(CREDENTIALS)) {
    const { type } = CREDENTIALS[name]!;
    for (const route of TOOL_ROUTES) {
      for (const isHeader of [true, false]) {
        const answer = await knock("", route, name, isHeader, "", toolCall);
        if (answer === undefined) continue;
        const where = `${name}: ${route.join(" ")}`;
        const isWrong = type !== undefined && type !== "USER_MISMATCH";
        const isMethod =
          route[0] === "POST" || !["/tools", "DELETE"].some((x) => route.includes(x));
        assert.equal(answer.status, isWrong ? 401 : isMethod ? 200 : 405, where);
        if (isWrong) assert.equal(typeOf(answer), type, where);
      }
    }
    const details = await knock("", ["GET", "/health", "details"], name, true);
    const isShown = details!.body.includes("streamable");
    assert.equal(isShown, type === undefined || type === "USER_MISMATCH", name);
  }
  // What is nobody's is the same for all, and what is nowhere tells a stranger nothing.
  for (const name of Object.keys(CREDENTIALS)) {
    const { type } = CREDENTIALS[name]!;
    const isKnown = type === undefined || type === "USER_MISMATCH";
    for (const [path, status] of [
      ["/health", 200],
      ["/openapi.json", 200],
      ["/.well-known/oauth-protected-resource", 404],
      ["/register", 404],
      ["/nothing", isKnown ? 404 : 401],
    ] as const) {
      const answer = await knock("", ["GET", path, ""], name, true);
      assert.equal(answer!.status, status, `${name}: ${path}`);
      assert.equal(answer!.body.includes("streamable"), false, `${name}: ${path}`);
    }
    const redeemed = await knock("", ["POST", "/invite", ""], name, true, "", '{"code":"x"}');
    assert.equal(redeemed!.status, 404, `${name}: an invite is opened by its code alone`);
  }
  // A user's page is opened by its cookie alone, whatever else the request shows, and names nobody.
  const pageCookie = "the cookie of the owner's page";
  const OWN = ["the own key", "the own JWT", "another user's key"];
  const OF_THE_PAGE = `
    GET session, DELETE session, GET sessions, DELETE sessions, GET calls, GET clients, DELETE clients/x,
    POST keys, PATCH keys/x, DELETE keys/x, GET servers, GET urls, GET logs, GET accounts,
    DELETE accounts/everything, GET tools`
    .trim()
    .split(/,\s+/)
    .map((route) => route.split(" "))
    .map(([method, path]) => [method!, `/me/api/${path}`] as const);
  for (const name of Object.keys(CREDENTIALS).filter((one) => one !== pageCookie))
    for (const [method, path] of [
      ["GET", "/me/api/keys"],
      ["POST", "/me/api/tools"],
      ["PUT", "/me/api/token"],
      ["DELETE", "/me/api/sessions/x"],
      ["POST", "/me/api/accounts/everything"],
      ["GET", "/me/api/nothing"],
      ...(OWN.includes(name) ? OF_THE_PAGE : []),
    ] as const)
      for (const isHeader of [true, false]) {
        const headers = asOwnPage(daemon.origin);
        const { header, query = "" } = CREDENTIALS[name]!;
        if (isHeader) headers.push(...header);
        const answer = await ask(port, {
          method,
          path: `${path}?user=alice&${isHeader ? "" : query}`,
          headers,
          ...(method === "GET" ? {} : { body: "{}" }),
        });
        assert.equal(answer.status, 401, `${name}: ${method} ${path}`);
        assert.equal(typeOf(answer), "KEY_MISSING", `${name}: ${method} ${path}`);
      }
  const ofBob = await SignedIn.with(daemon, bob.key.secret);
  const bobs = await ofBob.ask("GET", "keys?user=alice");
  assert.equal(bobs.body.includes(alice.key.id), false);
  assert.equal((await ofBob.ask("DELETE", `keys/${alice.key.id}`)).status, 404);
  t.diagnostic(`${cells} requests`);

  // Pages are the same for everybody, whoever asks, and whoever is in the path.
  for (const path of [
    "/u/USER/connect/everything",
    "/me",
    "/invite",
    "/connect/callback?state=x",
  ]) {
    const pages = await Promise.all(
      (path.includes("USER") ? ["alice", "nobody"] : [""]).flatMap((user) =>
        Object.values(CREDENTIALS).map(async ({ header }) => {
          const at = path.replace("USER", user);
          const answer = await ask(port, { path: at, headers: header });
          const { "content-length": _length, ...headers } = answer.headers;
          const text = user === "" ? answer.body : answer.body.replaceAll(user, "USER");
          return JSON.stringify(essence({ ...answer, headers, body: text }));
        }),
      ),
    );
    assert.equal(new Set(pages).size, 1, path);
  }

  // The owner's sessions are as they were, and nobody else's words came through them.
  const called = await ask(port, {
    method: "POST",
    path: endpoint,
    headers: [...bearer(own), "content-type", "application/json"],
    body: callOf("last"),
  });
  assert.equal(called.status, 202);
  await until(
    () => stream.messages().some(({ id }) => id === "last"),
    "the owner's own call is answered",
  );
  const strangers = stream
    .messages()
    .filter(({ id }) => id !== 0 && id !== "last" && id !== "by owner");
  assert.deepEqual(strangers, []);
});

test("a stream that was opened with a header wants the header on every POST, one opened with ?token= carries it along", async (t) => {
  const daemon = await startDaemon(t, {
    config: { servers: { everything: echoServer("sse") }, defaultServer: "everything" },
  });
  const { key } = await daemon.addUser("alice");
  const json = ["content-type", "application/json"];

  const byHeader = await EventStream.open(daemon.port, {
    path: "/u/alice/sse",
    headers: bearer(key.secret),
  });
  t.after(() => byHeader.close());
  const bare = await until(() => byHeader.endpoint, "the endpoint has come");
  assert.match(bare, /^\/u\/alice\/messages\?session_id=[\w-]{22}$/);
  assert.equal(
    (await ask(daemon.port, { method: "POST", path: bare, headers: json, body: INITIALIZE }))
      .status,
    401,
  );

  const byQuery = await EventStream.open(daemon.port, {
    path: `/u/alice/everything/sse?token=${key.secret}&x=1&session_id=mine`,
  });
  t.after(() => byQuery.close());
  const carried = await until(() => byQuery.endpoint, "the endpoint has come");
  assert.match(
    carried,
    new RegExp(`^/u/alice/everything/messages\\?token=${key.secret}&x=1&session_id=[\\w-]{22}$`),
  );
  assert.equal(
    (await ask(daemon.port, { method: "POST", path: carried, headers: json, body: INITIALIZE }))
      .status,
    202,
  );
  await until(() => byQuery.messages().length === 1, "the answer has come");
  assert.equal(daemon.log().includes(key.secret), false);
});

test("another user's session id opens nothing, on either front", async (t) => {
  const daemon = await startDaemon(t, {
    config: {
      servers: { everything: echoServer("sse"), streamable: echoServer("http") },
      defaultServer: "everything",
    },
  });
  const alice = await daemon.addUser("alice");
  const bob = await daemon.addUser("bob");
  const stream = await EventStream.open(daemon.port, {
    path: "/u/alice/sse",
    headers: bearer(alice.key.secret),
  });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  const json = [
    "content-type",
    "application/json",
    "accept",
    "application/json, text/event-stream",
  ];
  const stolen = await ask(daemon.port, {
    method: "POST",
    path: endpoint.replace("/u/alice/", "/u/bob/"),
    headers: [...bearer(bob.key.secret), ...json],
    body: INITIALIZE,
  });
  assert.equal(stolen.status, 404);

  // Who comes back for a stream that is not theirs gets one of their own, and alice's stays open.
  const [, lastId = ""] = /^id: (.*)$/m.exec(stream.text) ?? [];
  const other = (await daemon.cli(["key", "issue", "alice"])).json<{ secret: string }>();
  for (const [path, secret] of [
    ["/u/bob/sse", bob.key.secret],
    ["/u/alice/sse", other.secret],
  ] as const) {
    const headers = [...bearer(secret), "last-event-id", lastId];
    const theirs = await EventStream.open(daemon.port, { path, headers });
    t.after(() => theirs.close());
    const own = await until(() => theirs.endpoint, "its endpoint has come");
    assert.notEqual(own.split("session_id=")[1], endpoint.split("session_id=")[1]);
  }
  assert.equal(stream.isEnded, false);

  const started = await ask(daemon.port, {
    method: "POST",
    path: "/u/alice/streamable/mcp",
    headers: [...bearer(alice.key.secret), ...json],
    body: INITIALIZE,
  });
  const session = ["mcp-session-id", String(started.headers["mcp-session-id"])];
  for (const method of ["POST", "GET", "DELETE"]) {
    const answer = await ask(daemon.port, {
      method,
      path: "/u/bob/streamable/mcp",
      headers: [...bearer(bob.key.secret), ...json, ...session],
      ...(method === "POST" ? { body: callOf("x") } : {}),
    });
    assert.equal(answer.status, 404, method);
  }
  const still = await ask(daemon.port, {
    method: "POST",
    path: "/u/alice/streamable/mcp",
    headers: [...bearer(alice.key.secret), ...json, ...session],
    body: callOf("mine"),
  });
  assert.equal(still.status, 200);
});

for (const [what, end] of [
  ["a revoked key", (id: string) => ["key", "revoke", id]],
  ["a disabled user", () => ["user", "disable", "alice"]],
  ["a removed user", () => ["user", "remove", "alice"]],
] as const) {
  test(`${what} ends the live streams of that key at once, and no other`, async (t) => {
    const daemon = await startDaemon(t, {
      config: {
        servers: { everything: echoServer("sse"), streamable: echoServer("http") },
        defaultServer: "everything",
      },
    });
    const alice = await daemon.addUser("alice");
    const bob = await daemon.addUser("bob");
    const mine = await EventStream.open(daemon.port, {
      path: "/u/alice/sse",
      headers: bearer(alice.key.secret),
    });
    const endpoint = await until(() => mine.endpoint, "the endpoint has come");
    const json = [
      "content-type",
      "application/json",
      "accept",
      "application/json, text/event-stream",
    ];
    const started = await ask(daemon.port, {
      method: "POST",
      path: "/u/alice/streamable/mcp",
      headers: [...bearer(alice.key.secret), ...json],
      body: INITIALIZE,
    });
    const session = ["mcp-session-id", String(started.headers["mcp-session-id"])];
    const listening = await EventStream.open(daemon.port, {
      path: "/u/alice/streamable/mcp",
      headers: [...bearer(alice.key.secret), ...session, "accept", "text/event-stream"],
    });
    const others = await EventStream.open(daemon.port, {
      path: "/u/bob/sse",
      headers: bearer(bob.key.secret),
    });
    t.after(() => others.close());
    const slow = ask(daemon.port, {
      method: "POST",
      path: "/u/alice/streamable/mcp",
      headers: [...bearer(alice.key.secret), ...json, ...session],
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "tools/call",
        params: { name: "sleep", arguments: { ms: 60_000, message: "" } },
      }),
    }).catch(() => "cut");

    assert.equal((await daemon.cli(end(alice.key.id))).code, 0);
    await until(() => mine.isEnded && listening.isEnded, "the streams have ended", 1_000);
    assert.equal(await slow, "cut");
    assert.equal(
      (
        await ask(daemon.port, {
          method: "POST",
          path: endpoint,
          headers: [...bearer(alice.key.secret), ...json],
          body: INITIALIZE,
        })
      ).status,
      401,
    );
    assert.equal(others.isEnded, false);
  });
}
