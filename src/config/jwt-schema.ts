import { z } from "zod";
import type { Problem } from "./problems.ts";
import { duration } from "./scalars.ts";
import { filePath, providerUrl, word } from "./strings.ts";

const ALGORITHMS = [
  "HS256",
  "HS384",
  "HS512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
] as const;

/** What an issuer is known by that has no `issuer`, and what access keys are. */
export const NAMELESS_ISSUER = "jwt";
const TAKEN = ["key", NAMELESS_ISSUER];

/** Of an HMAC secret: what a shorter one signs lets whoever sees it guess the secret. */
export const SHORTEST_SECRET_BYTES = 32;
export const SHORT_SECRET =
  "lets in a secret under 32 bytes, which whoever sees one token can guess, and be any user; make another with openssl rand -base64 48";

const LONGEST_LEEWAY_MS = 60_000;

const issuerName = word
  .refine((name) => name.length <= 255, "must have at most 255 characters")
  .refine((name) => !TAKEN.includes(name), "is a name of ours; leave the key out");

const issuer = z.strictObject({
  issuer: issuerName
    .optional()
    .describe("the `iss` of its tokens; one issuer may have none, whose tokens may have any"),
  algorithm: z
    .enum(ALGORITHMS)
    .default("HS256")
    .describe(
      "the one algorithm of its key: `HS256`, `RS256`, `PS256`, `ES256` and their like, `EdDSA`",
    ),
  secretFile: filePath
    .optional()
    .describe("holds the secret of an `HS…` algorithm, one line of 32 bytes or more, mode 0400"),
  publicKeyFile: filePath.optional().describe("holds the public key, as PEM"),
  jwksUrl: providerUrl.optional().describe("where the issuer's public keys are, as a JWK set"),
  privateKeyFile: filePath
    .optional()
    .describe("beside `publicKeyFile`: the key that `jwt issue` signs with, as PEM, mode 0400"),
  audience: z
    .union([word, z.array(word).min(1)], { error: "must be a word or a list of them" })
    .optional()
    .describe(
      "the `aud` that tokens must have one of; unless set, a token that has one is refused",
    ),
  userClaim: word
    .optional()
    .describe("the claim that says who it is; unless set `user_id`, and `sub` where there is none"),
  leeway: duration(0)
    .refine((ms) => ms <= LONGEST_LEEWAY_MS, "must be at most 60s")
    .prefault("30s")
    .describe("how far the issuer's clock may be off, 60s at most"),
  maxLifetime: duration()
    .optional()
    .describe("tokens that were issued for longer are refused, and those without `iat`"),
  createUsers: z
    .boolean()
    .default(false)
    .describe("a user is made for a subject that is linked to none"),
  allowShortSecret: z
    .boolean()
    .default(false)
    .describe(
      "a secret may have less than 32 bytes, which can be guessed from any token; for a way over only",
    ),
});

export const jwt = z.strictObject({
  issuers: z.array(issuer).describe("who may say who somebody is; see Keys of an issuer"),
});

export type ParsedIssuer = z.output<typeof issuer>;

type Entries = Record<string, unknown>;

/** What is wrong between the keys of issuers that are right by themselves. */
export function jwtProblems(jwtOf: Entries): Problem[] {
  const issuers = Array.isArray(jwtOf["issuers"]) ? (jwtOf["issuers"] as unknown[]) : [];
  const entries = issuers.filter((one): one is Entries => typeof one === "object" && one !== null);
  return entries.flatMap((one, index) => {
    const isSame = entries.slice(0, index).some((other) => other["issuer"] === one["issuer"]);
    const name = one["issuer"] === undefined ? "is missing, and another has none" : "is another's";
    const problems = [
      ...(isSame ? [{ path: ["issuer"], message: name }] : []),
      ...keyProblems(one),
    ];
    return problems.map(({ path, message }) => ({
      path: ["jwt", "issuers", index, ...path],
      message,
    }));
  });
}

function keyProblems(one: Entries): Problem[] {
  const { algorithm = "HS256", secretFile, publicKeyFile, jwksUrl, privateKeyFile } = one;
  const sources = [secretFile, publicKeyFile, jwksUrl].filter((source) => source !== undefined);
  if (sources.length !== 1)
    return [{ path: [], message: 'must have one of "secretFile", "publicKeyFile" and "jwksUrl"' }];
  const problems: Problem[] = [];
  const isSecret = String(algorithm).startsWith("HS");
  if (isSecret !== (secretFile !== undefined)) {
    const message = isSecret
      ? 'is one for a "secretFile"; write that of the key, such as "RS256"'
      : 'is none for a "secretFile"; write "HS256"';
    problems.push({ path: ["algorithm"], message });
  }
  if (privateKeyFile !== undefined && publicKeyFile === undefined)
    problems.push({ path: ["privateKeyFile"], message: 'is of no use without a "publicKeyFile"' });
  if (one["allowShortSecret"] === true && secretFile === undefined)
    problems.push({ path: ["allowShortSecret"], message: 'is of no use without a "secretFile"' });
  return problems;
}
