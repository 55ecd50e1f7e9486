import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { inSeconds, signedJwt } from "./jwt.ts";

export interface Forgery {
  /** Of an HS256 issuer without a name and without an audience. */
  secret: string;
  /** Of an RS256 issuer of this name and audience. */
  publicKey: string;
  privateKey: string;
  issuer: string;
  audience: string;
  /** A user whom a good token would let in; one who is disabled. */
  user: string;
  disabled: string;
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function rsaSigned(privateKey: string, payload: object, header: object): string {
  const signed = `${part(header)}.${part(payload)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
}

/** The same bytes with other letters: of the last one some bits stand for nothing. */
function otherLastLetter(token: string): string {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return token.slice(0, -1) + letters[letters.indexOf(token.at(-1)!) ^ 1]!;
}

/** Tokens by what is wrong with each (RFC 8725; CVEs of JWT libraries). None may let anybody in. */
export function forgedJwts(forgery: Forgery): Record<string, string> {
  return {
    ...wrongHeaders(forgery),
    ...wrongKeys(forgery),
    ...wrongClaims(forgery),
    ...wrongForms(forgery),
  };
}

function wrongHeaders({ secret, user }: Forgery): Record<string, string> {
  const claims = { user_id: user, iat: inSeconds(0), exp: inSeconds(3600) };
  const of = (header: unknown, hash?: string): string => signedJwt(secret, claims, header, hash);
  const unsigned = (alg: string): string => `${part({ alg, typ: "JWT" })}.${part(claims)}.`;
  const jwk = { kty: "oct", k: Buffer.from("k").toString("base64url"), alg: "HS256" };
  return {
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg nOnE, signed": of({ alg: "nOnE" }),
    "alg none, with a signature": of({ alg: "none" }),
    "no alg": of({ typ: "JWT" }),
    "alg null": of({ alg: null }),
    "alg in a list": of({ alg: ["HS256"] }),
    "another HMAC": of({ alg: "HS512" }, "sha512"),
    "another HMAC's name": of({ alg: "HS384" }),
    "an algorithm in lower case": of({ alg: "hs256" }),
    crit: of({ alg: "HS256", crit: ["exp"], exp: 1 }),
    "crit that is empty": of({ alg: "HS256", crit: [] }),
    "b64 false": of({ alg: "HS256", crit: ["b64"], b64: false }),
    zip: of({ alg: "HS256", zip: "DEF" }),
    enc: of({ alg: "HS256", enc: "A256GCM" }),
    "typ of a proof": of({ alg: "HS256", typ: "dpop+jwt" }),
    "typ of an event": of({ alg: "HS256", typ: "secevent+jwt" }),
    "typ that is a number": of({ alg: "HS256", typ: 1 }),
    "alg given twice": signedJwt(secret, claims, '{"alg":"none","alg":"HS256"}'),
    "kid of another file": signedJwt("", claims, { alg: "HS256", kid: "../../../../dev/null" }),
    "kid of a query": signedJwt("k", claims, { alg: "HS256", kid: "x' UNION SELECT 'k';--" }),
    "jwk of its own": signedJwt("k", claims, { alg: "HS256", jwk }),
  };
}

function wrongKeys({ secret, publicKey, issuer, audience, user }: Forgery): Record<string, string> {
  const own = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const named = { sub: user, iss: issuer, aud: audience, iat: inSeconds(0), exp: inSeconds(3600) };
  const nameless = { user_id: user, exp: inSeconds(3600) };
  const jwk = createPublicKey(own.publicKey).export({ format: "jwk" });
  const at = "http://127.0.0.1:9/keys";
  const x5c = [Buffer.from("no certificate").toString("base64")];
  const der = createPublicKey(publicKey).export({ type: "spki", format: "der" });
  const rsa = (header: object): string =>
    rsaSigned(own.privateKey, named, { alg: "RS256", ...header });
  return {
    "another secret": signedJwt(`${secret}x`, nameless),
    "an empty secret": signedJwt("", nameless),
    "the secret without its last byte": signedJwt(secret.slice(0, -1), nameless),
    "the secret with a line break": signedJwt(`${secret}\n`, nameless),
    "the public key as a secret": signedJwt(publicKey, named),
    "the public key as a secret, trimmed": signedJwt(publicKey.trim(), named),
    "the public key as a secret, behind a space": signedJwt(` ${publicKey}`, named),
    "the public key as a secret, behind a line break": signedJwt(`\n${publicKey}`, named),
    "the public key's bytes as a secret": signedJwt(der, named),
    "the public key for the nameless": signedJwt(publicKey, nameless),
    "the nameless one's secret for the named": signedJwt(secret, named),
    "a key of its own": rsa({}),
    "a key of its own, as jwk": rsa({ jwk }),
    "a key of its own, at jku": rsa({ jku: at }),
    "a key of its own, at x5u": rsa({ x5u: at }),
    "a key of its own, as x5c": rsa({ x5c }),
    "no signature but zeros": `${part({ alg: "ES256" })}.${part(named)}.${Buffer.alloc(64).toString("base64url")}`,
  };
}

function wrongClaims(forgery: Forgery): Record<string, string> {
  const { secret, privateKey, issuer, audience, user, disabled } = forgery;
  const of = (claims: object): string =>
    signedJwt(secret, { user_id: user, exp: inSeconds(3600), ...claims });
  const named = (claims: object): string =>
    rsaSigned(
      privateKey,
      { sub: user, iss: issuer, aud: audience, exp: inSeconds(3600), ...claims },
      { alg: "RS256" },
    );
  const subjects = [user.toUpperCase(), `../${user}`, `${user}\0`, ` ${user}`, `${user}\n`, ""];
  const others = [[user], { name: user }, 1, true, null, "x".repeat(300), "nobody", "__proto__"];
  return {
    "no exp": signedJwt(secret, { user_id: user }),
    "exp as text": of({ exp: String(inSeconds(3600)) }),
    "exp in ms": of({ exp: inSeconds(3600) * 1000 }),
    "exp 1e12": of({ exp: 1e12 }),
    "exp 1e300": of({ exp: 1e300 }),
    "exp beyond numbers": signedJwt(secret, `{"user_id":"${user}","exp":1e999}`),
    "exp null": of({ exp: null }),
    "exp 0": of({ exp: 0 }),
    "exp below 0": of({ exp: -1 }),
    "exp in the past": of({ exp: inSeconds(-3600) }),
    "nbf in the future": of({ nbf: inSeconds(3600) }),
    "nbf as text": of({ nbf: "0" }),
    "iat in the future": of({ iat: inSeconds(3600) }),
    "iat as text": of({ iat: "0" }),
    "an audience where none is known": of({ aud: "mcp" }),
    "an empty list of audiences": of({ aud: [] }),
    "iss in a list": of({ iss: [issuer] }),
    "iss that is a number": of({ iss: 1 }),
    "another audience": named({ aud: "another" }),
    "other audiences": named({ aud: ["another", `${audience}x`] }),
    "no audience": named({ aud: undefined }),
    "another issuer, with this one's key": named({ iss: `${issuer}/` }),
    "nobody, of the named": named({ sub: "nobody" }),
    "a user's name, of the named": named({}),
    "a disabled user": of({ user_id: disabled }),
    "user_id given twice": signedJwt(
      secret,
      `{"user_id":"nobody","user_id":"${user}","exp":${inSeconds(3600)}}`,
    ),
    ...Object.fromEntries(
      [...subjects, ...others].map((subject, index) => [
        `a strange name (${index})`,
        of({ user_id: subject }),
      ]),
    ),
    "nobody at all": signedJwt(secret, { exp: inSeconds(3600) }),
  };
}

function wrongForms({ secret, user }: Forgery): Record<string, string> {
  const good = signedJwt(secret, { user_id: user, exp: inSeconds(3600) });
  const [header = "", payload = "", signature = ""] = good.split(".");
  const long = { user_id: user, exp: inSeconds(3600), pad: "x".repeat(9000) };
  return {
    "two parts": `${header}.${payload}`,
    "four parts": `${good}.${signature}`,
    "five parts": `${good}.${signature}.${signature}`,
    "no signature": `${header}.${payload}.`,
    "a short signature": good.slice(0, -2),
    "a long signature": `${good}AA`,
    "another last letter": otherLastLetter(good),
    padded: `${good}=`,
    "a changed payload": `${header}.${part({ user_id: user, exp: inSeconds(7200) })}.${signature}`,
    "a dot before it": `.${good}`,
    "a payload that is a list": signedJwt(secret, [user]),
    "a payload that is text": signedJwt(secret, JSON.stringify(user)),
    "a payload that is no JSON": signedJwt(secret, "{"),
    "a payload with a comment": signedJwt(secret, `{"user_id":"${user}"/**/,"exp":2e9}`),
    "a payload that is nothing": signedJwt(secret, ""),
    "a payload behind a byte order mark": signedJwt(
      secret,
      `\uFEFF{"user_id":"${user}","exp":2e9}`,
    ),
    "a header that is a list": signedJwt(secret, { user_id: user }, ["HS256"]),
    "a token in a token": signedJwt(secret, good, { alg: "HS256", cty: "JWT" }),
    "nine kilobytes": signedJwt(secret, long),
  };
}
