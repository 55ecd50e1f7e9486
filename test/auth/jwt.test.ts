import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { readIssuers } from "../../src/auth/jwt/trusted-issuer.ts";
import { Registry } from "../../src/auth/registry.ts";
import { loadConfig, parseConfig } from "../../src/config/config.ts";
import { SupervisorError } from "../../src/errors.ts";
import { forgedJwts } from "../helpers/forged-jwts.ts";
import { inSeconds, signedJwt } from "../helpers/jwt.ts";
import { temporaryFolder, temporaryStore } from "../helpers/store.ts";
import { until } from "../helpers/until.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const SSO = "https://sso.example.com";

const PAIR = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function rsaSigned(claims: object, header: object = {}, key = PAIR.privateKey): string {
  const signed = `${part({ alg: "RS256", ...header })}.${part(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

/** What the registry reads from a config with these issuers. */
function readerFor(t: TestContext) {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "jwt.secret"), `${SECRET}\n`, { mode: 0o400 });
  writeFileSync(join(folder, "other.secret"), SECRET.toUpperCase(), { mode: 0o400 });
  writeFileSync(join(folder, "sso.pem"), PAIR.publicKey, { mode: 0o644 });
  writeFileSync(join(folder, "sso.key"), PAIR.privateKey, { mode: 0o400 });
  const warned: unknown[] = [];
  const read = (issuers: object[], onKeysChanged = (): void => undefined) => {
    const config = { servers: { one: { command: "x" } }, jwt: { issuers } };
    const { jwt } = parseConfig(config, folder, { env: {} });
    const log = { warn: (fields: object) => void warned.push(fields) };
    return readIssuers(jwt.issuers, { scrubber: { set: () => true }, log }, onKeysChanged);
  };
  return { folder, read, warned };
}

function rig(t: TestContext, issuers: object[] = [{ secretFile: "jwt.secret" }]) {
  const { store } = temporaryStore(t);
  const { read, folder, warned } = readerFor(t);
  const taken = new Set<string>();
  const registry = new Registry(store, { isTaken: (name) => taken.has(name) });
  registry.trust(read(issuers, () => registry.recheck()));
  const ended: string[] = [];
  registry.events.on("credential-ended", ({ user, issuer }) => ended.push(`${user} of ${issuer}`));
  const whyNot = async (token: string): Promise<string> => {
    const found = registry.verify(token)?.user ?? registry.verifyJwt(token);
    if (found === undefined) return "no JWT";
    if (typeof found === "string") return `let in: ${found}`;
    try {
      return `let in: ${(await found).user}`;
    } catch (error) {
      assert.ok(error instanceof SupervisorError);
      assert.equal(error.code, "KEY_INVALID");
      assert.equal(error.message, "this access key is not valid");
      return error.details.join();
    }
  };
  return { registry, read, folder, warned, taken, ended, whyNot };
}

const claimsOf = (user: string, claims: object = {}): object => ({
  user_id: user,
  iat: inSeconds(0),
  exp: inSeconds(3600),
  ...claims,
});

test("a JWT opens for the user that it names, and is checked once: what was let in is known by its digest", async (t) => {
  const { registry } = rig(t);
  registry.addUser("alice");
  const exp = inSeconds(3600);
  const token = signedJwt(SECRET, { user_id: "alice", iss: "mcp-proxy", exp });
  assert.equal(registry.verify(token), undefined);
  const [one, other] = await Promise.all([registry.verifyJwt(token), registry.verifyJwt(token)]);
  const { credentialId, ...who } = one!;
  assert.deepEqual(who, {
    user: "alice",
    issuer: "jwt",
    subject: "alice",
    label: "jwt",
    expiresAt: exp * 1000 + 30_000,
  });
  assert.equal(one, other);
  assert.equal(registry.verify(token), one);
  assert.equal(token.includes(credentialId), false);
});

test("no forged or odd JWT lets anybody in, and each is refused in the same words", async (t) => {
  const { registry, whyNot } = rig(t, [
    { secretFile: "jwt.secret" },
    { issuer: SSO, algorithm: "RS256", publicKeyFile: "sso.pem", audience: "mcp" },
  ]);
  for (const name of ["alice", "dora"]) registry.addUser(name);
  registry.disableUser("dora");
  registry.linkIdentity("alice", SSO, "00u1");
  assert.equal(
    await whyNot(rsaSigned({ sub: "00u1", iss: SSO, aud: "mcp", exp: inSeconds(60) })),
    "let in: alice",
  );
  const forged = forgedJwts({
    ...PAIR,
    secret: SECRET,
    issuer: SSO,
    audience: "mcp",
    user: "alice",
    disabled: "dora",
  });
  assert.ok(Object.keys(forged).length >= 80, `${Object.keys(forged).length}`);
  for (const [what, token] of Object.entries(forged))
    assert.doesNotMatch(await whyNot(token), /^let in|^$/, what);
});

test("a subject is a user's name only where we can sign for the issuer; elsewhere it is whom it is linked to", async (t) => {
  const { registry, whyNot, ended } = rig(t, [
    { issuer: SSO, algorithm: "RS256", publicKeyFile: "sso.pem" },
  ]);
  for (const name of ["alice", "bob"]) registry.addUser(name);
  const token = rsaSigned({ sub: "alice", iss: SSO, exp: inSeconds(3600) });
  assert.match(await whyNot(token), /of nobody who is known; `user link` says who it is/);
  registry.linkIdentity("bob", SSO, "alice");
  assert.equal(await whyNot(token), "let in: bob");
  assert.deepEqual(
    registry.listIdentities("bob").map(({ issuer, subject }) => ({ issuer, subject })),
    [{ issuer: SSO, subject: "alice" }],
  );
  registry.linkIdentity("alice", SSO, "alice");
  assert.deepEqual(ended, [`bob of ${SSO}`]);
  assert.equal(await whyNot(token), "let in: alice");
  assert.throws(() => registry.linkIdentity("alice", "https://other", "x"), /the config has https/);
  assert.throws(() => registry.linkIdentity("alice", SSO, "x\n"), /one line/);
});

test("a user who is made for a subject gets no name that somebody has, or has left something under", async (t) => {
  const { registry, whyNot, taken } = rig(t, [
    { issuer: SSO, algorithm: "RS256", publicKeyFile: "sso.pem", createUsers: true },
  ]);
  const made: string[] = [];
  registry.events.on("user-made", ({ user, issuer }) => made.push(`${user} of ${issuer}`));
  registry.addUser("alice");
  taken.add("alice-2");
  const of = (sub: string, more: object = {}): string =>
    rsaSigned({ sub, iss: SSO, exp: inSeconds(3600), ...more });
  assert.equal(await whyNot(of("Alice@example.com")), "let in: alice-3");
  assert.equal(await whyNot(of("Alice@example.com", { jti: "2" })), "let in: alice-3");
  assert.equal(await whyNot(of("alice")), "let in: alice-4");
  assert.equal(await whyNot(of("王")), "let in: user");
  assert.equal(await whyNot(of(`${"x".repeat(70)}1`)), `let in: ${"x".repeat(63)}`);
  assert.equal(await whyNot(of(`${"x".repeat(70)}2`)), `let in: ${"x".repeat(61)}-2`);
  for (const sub of ["", "x".repeat(256), "bob\n", "bob\u2028", "\0"])
    assert.match(await whyNot(of(sub)), /does not say who it is/);
  assert.deepEqual(
    made.slice(0, 3),
    ["alice-3", "alice-4", "user"].map((name) => `${name} of ${SSO}`),
  );
});

test("a removed user's identities are nobody's, whoever gets the name, until an admin links them", async (t) => {
  const { registry, whyNot } = rig(t, [{ secretFile: "jwt.secret", createUsers: true }]);
  const token = signedJwt(SECRET, claimsOf("alice"));
  for (const begin of [() => whyNot(token), () => Promise.resolve(registry.addUser("bob"))])
    await begin();
  for (const name of ["alice", "bob"]) {
    registry.beginRemoval(name);
    registry.finishRemoval(name);
  }
  assert.match(await whyNot(token), /of somebody who was removed/);
  // Bob never came with a JWT while he was there.
  assert.match(await whyNot(signedJwt(SECRET, claimsOf("bob"))), /of somebody who was removed/);
  registry.addUser("alice");
  assert.match(await whyNot(token), /of somebody who was removed/);
  await assert.rejects(
    registry.issueJwt("alice", { expiresAt: Date.now() + 60_000 }),
    /user link alice --issuer jwt --subject alice makes it this user/,
  );
  registry.linkIdentity("alice", "jwt", "alice");
  assert.equal(await whyNot(token), "let in: alice");
});

test("what was issued before a time is revoked, what is issued after it in the same second is not", async (t) => {
  const { registry, whyNot, ended } = rig(t);
  registry.addUser("alice");
  registry.addUser("bob");
  const old = signedJwt(SECRET, claimsOf("alice", { iat: inSeconds(-60) }));
  const timeless = signedJwt(SECRET, { sub: "alice", exp: inSeconds(60) });
  const others = signedJwt(SECRET, claimsOf("bob", { iat: inSeconds(-60) }));
  for (const token of [old, timeless, others]) assert.match(await whyNot(token), /^let in/);
  const before = registry.revokeJwtsBefore("alice", Date.now());
  assert.deepEqual(ended, ["alice of jwt", "alice of jwt"]);
  assert.match(await whyNot(old), /was revoked/);
  assert.match(await whyNot(timeless), /was revoked, or does not say when/);
  assert.equal(await whyNot(others), "let in: bob");
  const { token } = await registry.issueJwt("alice", { expiresAt: Date.now() + 60_000 });
  assert.equal(await whyNot(token), "let in: alice");
  assert.equal(registry.revokeJwtsBefore("alice", before - 5000), before);
  assert.throws(() => registry.revokeJwtsBefore("alice", Date.now() + 60_000), /in the future/);
});

test("a disabled user's JWT opens nothing from then on, and opens again once the user is enabled", async (t) => {
  const { registry, whyNot } = rig(t);
  registry.addUser("alice");
  const token = signedJwt(SECRET, claimsOf("alice"));
  assert.equal(await whyNot(token), "let in: alice");
  registry.disableUser("alice");
  assert.match(await whyNot(token), /is of alice, who is not enabled/);
  registry.enableUser("alice");
  assert.equal(await whyNot(token), "let in: alice");
});

test("a JWT in use ends at its exp and the leeway", async (t) => {
  const { registry, whyNot, ended } = rig(t, [{ secretFile: "jwt.secret", leeway: "1s" }]);
  registry.addUser("alice");
  const token = signedJwt(SECRET, claimsOf("alice", { exp: Date.now() / 1000 + 0.4 }));
  assert.equal(await whyNot(token), "let in: alice");
  await until(() => ended.length === 1, "the JWT has ended");
  assert.equal(registry.verify(token), undefined);
  assert.match(await whyNot(token), /expired/);
});

test("once an issuer has another key or is gone, what its tokens opened ends, and nothing else", async (t) => {
  const both = [{ secretFile: "jwt.secret" }, { issuer: SSO, secretFile: "other.secret" }];
  const { registry, read, folder, whyNot, ended } = rig(t, both);
  registry.addUser("alice");
  const token = signedJwt(SECRET, claimsOf("alice"));
  const others = signedJwt(SECRET.toUpperCase(), claimsOf("alice", { iss: SSO }));
  for (const one of [token, others]) assert.equal(await whyNot(one), "let in: alice");
  registry.trust(read(both));
  assert.deepEqual(ended, []);
  assert.equal(await whyNot(token), "let in: alice");
  chmodSync(join(folder, "jwt.secret"), 0o600);
  writeFileSync(join(folder, "jwt.secret"), SECRET.replaceAll("0", "9"));
  registry.trust(read(both));
  assert.deepEqual(ended, ["alice of jwt"]);
  assert.match(await whyNot(token), /not signed with the issuer's key/);
  assert.equal(await whyNot(others), "let in: alice");
  registry.trust([]);
  assert.deepEqual(ended, ["alice of jwt", `alice of ${SSO}`]);
  assert.equal(await whyNot(others), "no JWT");
});

test("a JWT is issued by who can sign, as the config would take it", async (t) => {
  const expiresAt = Date.now() + 60_000;
  const { registry, read, whyNot } = rig(t, [
    { secretFile: "jwt.secret", audience: ["mcp", "chat"], userClaim: "login", maxLifetime: "1h" },
  ]);
  registry.addUser("alice");
  const issued = await registry.issueJwt("alice", { expiresAt, audience: "chat" });
  const claims = JSON.parse(
    Buffer.from(issued.token.split(".")[1]!, "base64url").toString(),
  ) as Record<string, unknown>;
  assert.deepEqual([claims["login"], claims["aud"], claims["iss"]], ["alice", "chat", undefined]);
  assert.equal(await whyNot(issued.token), "let in: alice");
  const refusals = [
    [{ expiresAt, audience: "x" }, /no JWT for that audience/],
    [{ expiresAt: Date.now() + 7_200_000 }, /lives? that long/],
    [{ expiresAt: Date.now() - 5000 }, /in the past/],
    [{ expiresAt, issuer: SSO }, /no such issuer; the config has jwt/],
  ] as const;
  for (const [wish, why] of refusals) await assert.rejects(registry.issueJwt("alice", wish), why);

  const keys = { publicKeyFile: "sso.pem", privateKeyFile: "sso.key" };
  registry.trust(
    read([{ secretFile: "jwt.secret" }, { issuer: SSO, algorithm: "PS256", ...keys }]),
  );
  await assert.rejects(registry.issueJwt("alice", { expiresAt }), /name one: jwt, https/);
  const byPair = await registry.issueJwt("alice", { expiresAt, issuer: SSO });
  assert.equal(await whyNot(byPair.token), "let in: alice");
  registry.trust([]);
  await assert.rejects(registry.issueJwt("alice", { expiresAt }), /secretFile or privateKeyFile/);
});

test("maxLifetime bounds what a token was issued for, and wants to know when that was", async (t) => {
  const { registry, whyNot } = rig(t, [{ secretFile: "jwt.secret", maxLifetime: "1h" }]);
  registry.addUser("alice");
  const of = (claims: object): Promise<string> =>
    whyNot(signedJwt(SECRET, { sub: "alice", ...claims }));
  assert.equal(await of({ iat: inSeconds(0), exp: inSeconds(3600) }), "let in: alice");
  assert.match(await of({ iat: inSeconds(0), exp: inSeconds(3700) }), /longer than maxLifetime/);
  assert.match(await of({ exp: inSeconds(60) }), /longer than maxLifetime/);
});

test("keys at a URL are fetched once, and once more for a key id that is not known", async (t) => {
  const next = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const jwk = (pem: string, kid: string): object => ({
    ...createPublicKey(pem).export({ format: "jwk" }),
    kid,
    use: "sig",
  });
  let shown: object[] = [jwk(PAIR.publicKey, "one")];
  let asked = 0;
  const server = createServer((_req, res) => {
    asked += 1;
    res.end(JSON.stringify({ keys: shown }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
  const { registry, whyNot, warned } = rig(t, [{ issuer: SSO, algorithm: "RS256", jwksUrl }]);
  registry.addUser("alice");
  registry.linkIdentity("alice", SSO, "00u1");
  const claims = { sub: "00u1", iss: SSO, exp: inSeconds(3600) };
  const first = rsaSigned(claims, { kid: "one" });
  const said = await Promise.all([first, first, rsaSigned(claims)].map(whyNot));
  assert.deepEqual(said, ["let in: alice", "let in: alice", "let in: alice"]);
  assert.equal(asked, 1);
  shown = [...shown, jwk(next.publicKey, "two")];
  for (const kid of ["two", "three", "../one", "'--"])
    assert.match(await whyNot(rsaSigned(claims, { kid }, next.privateKey)), /does not show/);
  // It was asked just before; nobody who makes up key ids makes it be asked again and again.
  assert.equal(asked, 1);
  assert.deepEqual(warned, []);
});

test("an issuer that shows no keys lets nobody in, and is told of once", async (t) => {
  const jwksUrl = "http://127.0.0.1:9/keys";
  const { whyNot, warned } = rig(t, [{ issuer: SSO, algorithm: "RS256", jwksUrl }]);
  const token = rsaSigned({ sub: "00u1", iss: SSO, exp: inSeconds(3600) });
  for (let count = 0; count < 3; count += 1) assert.match(await whyNot(token), /does not show/);
  assert.equal(warned.length, 1);
});

test("a file that holds no fitting key is refused with what to do", (t) => {
  const { read, folder } = readerFor(t);
  const put = (name: string, text: string, mode = 0o400): void =>
    writeFileSync(join(folder, name), text, { mode });
  put("short", "x".repeat(31));
  put("open", SECRET, 0o644);
  put("pem", PAIR.publicKey);
  put("changeable", PAIR.publicKey);
  chmodSync(join(folder, "changeable"), 0o666);
  put(
    "weak",
    generateKeyPairSync("rsa", { modulusLength: 1024 })
      .publicKey.export({ type: "spki", format: "pem" })
      .toString(),
  );
  put(
    "other.key",
    generateKeyPairSync("rsa", { modulusLength: 2048 })
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString(),
  );
  const rsa = { algorithm: "RS256" };
  const refusals: [object, RegExp][] = [
    [{ secretFile: "short" }, /31 bytes.*openssl rand -base64 48 > '.*short'.*"allowShortSecret"/],
    [{ secretFile: "open" }, /open to other accounts: chmod 400/],
    [{ secretFile: "missing" }, /cannot be read from .*missing \(ENOENT\)/],
    [{ secretFile: "pem" }, /holds a key and no secret/],
    [{ ...rsa, publicKeyFile: "changeable" }, /can be changed by other accounts/],
    [{ ...rsa, publicKeyFile: "weak" }, /none for RS256, or an RSA key under 2048 bits/],
    [{ ...rsa, algorithm: "ES256", publicKeyFile: "pem" }, /none for ES256/],
    [{ ...rsa, publicKeyFile: "sso.key" }, /holds a private key/],
    [{ ...rsa, publicKeyFile: "jwt.secret" }, /holds no public key/],
    [
      { ...rsa, publicKeyFile: "sso.pem", privateKeyFile: "other.key" },
      /is not the private key of/,
    ],
    [{ ...rsa, publicKeyFile: "sso.pem", privateKeyFile: "jwt.secret" }, /no private key as PEM/],
  ];
  for (const [issuer, why] of refusals) assert.throws(() => read([issuer]), why);
  assert.equal(read([{ secretFile: "short", allowShortSecret: true }]).length, 1);
});

test("JWT_SECRET is a secret or, with the algorithm of one, a public key, and refused by its name alone", async (t) => {
  const folder = temporaryFolder(t);
  const hidden: string[] = [];
  const read = (variables: object) => {
    const env = { MCP_URL: "http://h/mcp", ...variables };
    const { jwt } = loadConfig({ env, cwd: folder });
    const scrubber = { set: (_: string, secret: string) => hidden.push(secret) > 0 };
    return readIssuers(jwt.issuers, { scrubber, log: { warn: () => undefined } }, () => {});
  };
  const short = "your-secret-key";
  const refusals: [object, RegExp][] = [
    [{ JWT_SECRET: short }, /^JWT_SECRET: the secret has 15 bytes.*JWT_SECRET="\$\(openssl rand/],
    [{ JWT_SECRET: PAIR.publicKey }, /^JWT_SECRET holds a key.*JWT_ALGORITHM, such as RS256$/],
    [{ JWT_SECRET: SECRET, JWT_ALGORITHM: "RS256" }, /^JWT_SECRET holds no public key as PEM$/],
    [{ JWT_SECRET: PAIR.publicKey, JWT_ALGORITHM: "ES256" }, /^JWT_SECRET: the key is none for ES/],
  ];
  for (const [variables, why] of refusals)
    assert.throws(
      () => read(variables),
      ({ message }: Error) => why.test(message) && !message.includes(short),
    );
  const [bySecret] = read({ JWT_SECRET: short, JWT_ALLOW_SHORT_SECRET: "yes" });
  assert.ok(bySecret?.signingKey !== undefined);
  assert.deepEqual(hidden, [short]);
  const [byKey] = read({ JWT_SECRET: PAIR.publicKey, JWT_ALGORITHM: "RS256" });
  assert.equal(byKey?.signingKey, undefined);
  const key = await byKey!.keyFor({ alg: "RS256" });
  assert.equal("asymmetricKeyType" in key && key.asymmetricKeyType, "rsa");
});
