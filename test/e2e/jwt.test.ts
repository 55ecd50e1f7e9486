import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { askControl } from "../helpers/control.ts";
import { startDaemon } from "../helpers/daemon.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { echoServer } from "../helpers/echo.ts";
import { forgedJwts } from "../helpers/forged-jwts.ts";
import { bearer, call, initialize, json } from "../helpers/fixtures.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { EventStream, ask } from "../helpers/raw-http.ts";
import { temporaryFolder } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const OTHERS = "fedcba9876543210fedcba9876543210";
const SSO = "https://sso.example.com";

const INITIALIZE = initialize();
const CALL = call(1, "echo", { message: "hello" });

const PAIR = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

/** A daemon with our own issuer, another one with a secret of its own, and one with a public key. */
async function daemonWithIssuers(t: TestContext): Promise<TestDaemon> {
  const folder = temporaryFolder(t);
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o400 });
    return join(folder, name);
  };
  const issuers = [
    { secretFile: file("jwt", SECRET), leeway: "0s" },
    { issuer: "other", secretFile: file("other", OTHERS) },
    {
      issuer: SSO,
      algorithm: "RS256",
      publicKeyFile: file("sso.pem", PAIR.publicKey),
      audience: "mcp",
    },
  ];
  const servers = { everything: echoServer("sse"), streamable: echoServer("http") };
  const daemon = await startDaemon(t, {
    config: { servers, defaultServer: "everything", jwt: { issuers } },
  });
  await daemon.addUser("alice");
  return daemon;
}

const post = (port: number, secret: string, body: string, session: string[] = []) =>
  ask(port, {
    method: "POST",
    path: "/u/alice/streamable/mcp",
    headers: [...bearer(secret), ...json, ...session],
    body,
  });

test("no forged or odd JWT lets anybody in over HTTP: each is 401 with one body, in the header and in the query", async (t) => {
  const daemon = await daemonWithIssuers(t);
  await daemon.addUser("dora");
  await daemon.cli(["user", "disable", "dora"]);
  const forged = forgedJwts({
    ...PAIR,
    secret: SECRET,
    issuer: SSO,
    audience: "mcp",
    user: "alice",
    disabled: "dora",
  });
  const bodies = new Set<string>();
  let answers = 0;
  for (const [what, token] of Object.entries(forged)) {
    for (const isHeader of [true, false]) {
      const { status, headers, body } = await ask(daemon.port, {
        path: isHeader ? "/u/alice/sse" : `/u/alice/sse?token=${encodeURIComponent(token)}`,
        headers: isHeader ? bearer(token) : [],
      });
      answers += 1;
      assert.equal(status, 401, what);
      assert.equal(headers["www-authenticate"], 'Bearer error="invalid_token"', what);
      bodies.add(body.replace(/"requestId":"[^"]*"/, ""));
    }
  }
  assert.ok(answers >= 80, `${answers} answers`);
  assert.equal(bodies.size, 1, [...bodies].join("\n"));
  assert.match([...bodies][0]!, /"type":"KEY_INVALID"/);
  // A megabyte does not get as far as that.
  const long = await ask(daemon.port, {
    path: "/u/alice/sse",
    headers: bearer("eyJ".repeat(2 ** 18)),
  });
  assert.ok(long.status >= 400 && long.status < 500, String(long.status));
  assert.doesNotMatch(daemon.log(), /eyJ/);
  // The admin learns what the client does not.
  const late = signedJwt(SECRET, { sub: "alice", exp: inSeconds(-3600) });
  const refused = await ask(daemon.port, { path: "/u/alice/sse", headers: bearer(late) });
  const [, id = ""] = /"requestId":"([^"]*)"/.exec(refused.body) ?? [];
  assert.match(
    (await askControl(daemon.socket, "GET", `/api/requests/${id}`)).body,
    /the JWT, of jwt, has expired/,
  );
});

test("a JWT's session goes on with the next one of its issuer alone; a stream ends with its JWT, at a revocation and with the user", async (t) => {
  const daemon = await daemonWithIssuers(t);
  const { port } = daemon;
  const cli = await daemon.cli(["jwt", "issue", "alice", "--expires", "1h", "--issuer", "jwt"]);
  const first = cli.json<{ token: string; user: string; expiresAt: number }>();
  assert.equal(first.user, "alice");
  const begun = await post(port, first.token, INITIALIZE);
  assert.equal(begun.status, 200, begun.body);
  const session = ["mcp-session-id", String(begun.headers["mcp-session-id"])];
  const of = (secret: string, claims: object): string =>
    signedJwt(secret, { sub: "alice", iat: inSeconds(0), exp: inSeconds(600), ...claims });
  const renewed = of(SECRET, { jti: "2" });
  const others = of(OTHERS, { iss: "other" });
  assert.equal((await post(port, renewed, CALL, session)).status, 200);
  const key = (await daemon.cli(["key", "issue", "alice"])).json<{ secret: string }>().secret;
  for (const secret of [others, key]) {
    assert.equal((await post(port, secret, INITIALIZE)).status, 200);
    assert.equal((await post(port, secret, CALL, session)).status, 404);
    for (const method of ["GET", "DELETE"])
      assert.equal(
        (
          await ask(port, {
            method,
            path: "/u/alice/streamable/mcp",
            headers: [...bearer(secret), ...json, ...session],
          })
        ).status,
        404,
      );
  }
  // The same over SSE, whose session has the stream's life.
  const stream = await EventStream.open(port, { path: `/u/alice/sse?token=${first.token}` });
  t.after(() => stream.close());
  const endpoint = await until(() => stream.endpoint, "the endpoint has come");
  const said = (secret: string) =>
    ask(port, {
      method: "POST",
      path: endpoint.replace(first.token, secret),
      headers: json,
      body: INITIALIZE,
    });
  assert.equal((await said(others)).status, 404);
  assert.equal((await said(renewed)).status, 202);

  // What was revoked ends, and the session goes on with what is issued from then on.
  const listening = await EventStream.open(port, {
    path: "/u/alice/streamable/mcp",
    headers: [...bearer(first.token), ...session, "accept", "text/event-stream"],
  });
  const revoked = await daemon.cli(["jwt", "revoke-before", "alice"]);
  assert.equal(revoked.json<{ user: string }>().user, "alice");
  await until(() => stream.isEnded && listening.isEnded, "both streams have ended");
  for (const token of [first.token, renewed, others])
    assert.equal((await post(port, token, CALL, session)).status, 401);
  const again = (
    await daemon.cli(["jwt", "issue", "alice", "--expires", "1h", "--issuer", "jwt"])
  ).json<{ token: string }>().token;
  assert.equal((await post(port, again, CALL, session)).status, 200);
  assert.equal((await post(port, key, INITIALIZE)).status, 200);

  const open = (claims: object) =>
    EventStream.open(port, { path: "/u/alice/sse", headers: bearer(of(SECRET, claims)) });
  const exp = inSeconds(2);
  const short = await open({ exp, iat: inSeconds(1) });
  const long = await open({ iat: inSeconds(1) });
  await until(() => short.isEnded, "the stream has ended with its JWT");
  assert.ok(Date.now() >= exp * 1000);
  assert.equal(long.isEnded, false);
  await daemon.cli(["user", "disable", "alice"]);
  await until(() => long.isEnded, "the other has ended with its user");
  assert.doesNotMatch(daemon.log(), /eyJ/);
});

test("users are made for whom an issuer vouches, where the config says so, and an admin links others", async (t) => {
  const folder = temporaryFolder(t);
  const secretFile = join(folder, "jwt");
  writeFileSync(secretFile, "short-secret", { mode: 0o400 });
  const issuers = [{ secretFile, allowShortSecret: true, createUsers: true }];
  const daemon = await startDaemon(t, {
    config: { servers: { everything: echoServer("sse") }, jwt: { issuers } },
  });
  await until(() => daemon.log().includes("allowShortSecret"), "it is warned of");
  const statusOf = async (user: string, sub: string): Promise<number> =>
    (
      await ask(daemon.port, {
        method: "PUT",
        path: `/u/${user}/sse`,
        headers: bearer(signedJwt("short-secret", { sub, exp: inSeconds(600) })),
      })
    ).status;
  assert.equal(await statusOf("bob-example", "Bob Example"), 405);
  const { users } = (await daemon.cli(["user", "list"])).json<{ users: { user: string }[] }>();
  assert.deepEqual(
    users.map(({ user }) => user),
    ["bob-example"],
  );
  const audit = (await daemon.cli(["audit"])).stdout;
  assert.match(
    audit,
    /"what":"user add".*"who":"JWT of jwt"|"who":"JWT of jwt".*"what":"user add"/,
  );
  await daemon.addUser("carol");
  const link = ["user", "link", "carol", "--issuer", "jwt", "--subject", "00u1"];
  assert.deepEqual((await daemon.cli(link)).json(), {
    user: "carol",
    issuer: "jwt",
    subject: "00u1",
  });
  assert.equal(await statusOf("carol", "00u1"), 405);
  assert.equal(await statusOf("bob-example", "00u1"), 403);
  const shown = await daemon.cli(["user", "show", "carol"], { isForPeople: true });
  assert.match(shown.stdout, /JWTs: 00u1 of jwt/);

  // A key that cannot be used changes nothing; another one ends what the old one opened.
  chmodSync(secretFile, 0o644);
  const refused = await daemon.cli(["reload"]);
  assert.match(refused.error().message, /open to other accounts: chmod 400/);
  assert.equal(await statusOf("carol", "00u1"), 405);
  const open = await EventStream.open(daemon.port, {
    path: "/u/carol/sse",
    headers: bearer(signedJwt("short-secret", { sub: "00u1", exp: inSeconds(600) })),
  });
  writeFileSync(secretFile, SECRET);
  chmodSync(secretFile, 0o600);
  assert.equal((await daemon.cli(["reload"])).code, 0);
  await until(() => open.isEnded, "the stream has ended with the key");
  assert.equal(await statusOf("carol", "00u1"), 401);
  const doctor = await daemon.cli(["doctor"]);
  assert.match(doctor.stdout, /JWTs of jwt/);
  assert.match(doctor.stdout, /allowShortSecret: lets in a secret under 32 bytes/);
});
