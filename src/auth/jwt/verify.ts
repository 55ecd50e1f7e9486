import { errors, jwtVerify } from "jose";
import type { JWTPayload } from "jose";
import { readJson } from "../../config/json.ts";
import { keyInvalid } from "../key-invalid.ts";
import type { TrustedIssuer } from "./trusted-issuer.ts";

const MAX_JWT_LENGTH = 8 * 1024;
const COMPACT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;
/** Of JWTs that are for something else the type says so (RFC 8725, 3.11). */
const TYPES = new Set(["jwt", "application/jwt", "at+jwt", "application/at+jwt"]);
/** The end of the year 9999; a larger number was meant as milliseconds, or for ever. */
const LATEST_SECONDS = 253_402_300_799;
const MAX_SUBJECT_LENGTH = 255;

/** What a token says that is what it seems to be. Times are epoch ms. */
export interface Claims {
  subject: string;
  issuedAt: number | null;
  /** With the leeway. */
  expiresAt: number;
}

/** Whether the text may be a JWT at all; nothing else is worth a look. */
export const looksLikeJwt = (text: string): boolean =>
  text.length <= MAX_JWT_LENGTH && COMPACT.test(text);

/** Text that can be written in one way only: else a token that was changed on the way would be another one that works. */
function textIn(part: string): string {
  const bytes = Buffer.from(part, "base64url");
  if (bytes.toString("base64url") !== part) throw keyInvalid("the JWT is not written as one");
  return bytes.toString("utf8");
}

/** An object in which no key stands twice: whoever looked at it before may have taken the other one. */
function objectOf(part: string): Record<string, unknown> {
  const { value, problems } = readJson(textIn(part));
  if (problems.length > 0 || typeof value !== "object" || value === null || Array.isArray(value))
    throw keyInvalid("the JWT is not written as one");
  return value as Record<string, unknown>;
}

/** The issuer that the token says it is of. Its signature is still to be checked. */
export function issuerOf(text: string, issuers: readonly TrustedIssuer[]): TrustedIssuer {
  const [, header = "", payload = "", signature = ""] = COMPACT.exec(text) ?? [];
  textIn(signature);
  const { alg, typ, crit, b64, enc, zip } = objectOf(header);
  const { iss } = objectOf(payload);
  if (iss !== undefined && typeof iss !== "string")
    throw keyInvalid("the JWT is not written as one");
  const found =
    issuers.find(({ def }) => def.issuer !== null && def.issuer === iss) ??
    issuers.find(({ def }) => def.issuer === null);
  if (found === undefined)
    throw keyInvalid("the JWT is of an issuer that the config does not name");
  const { name, algorithm } = found.def;
  if ([crit, b64, enc, zip].some((value) => value !== undefined))
    throw keyInvalid(`the JWT, of ${name}, asks for what is not done here`);
  if (typ !== undefined && !(typeof typ === "string" && TYPES.has(typ.toLowerCase())))
    throw keyInvalid(`the JWT, of ${name}, is for something else (typ)`);
  if (alg !== algorithm) throw keyInvalid(`the JWT, of ${name}, is not signed with ${algorithm}`);
  return found;
}

const REASONS: Record<string, string> = {
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "is not signed with the issuer's key",
  ERR_JWKS_NO_MATCHING_KEY: "is signed with a key that the issuer does not show",
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: "does not say which of the issuer's keys it is signed with",
};

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "has expired";
  if (error instanceof errors.JWTClaimValidationFailed)
    return `has no ${["exp", "nbf", "iat", "aud", "iss"].find((claim) => claim === error.claim) ?? "claim"} that is as it must be`;
  const code = error instanceof errors.JOSEError ? error.code : "";
  return REASONS[code] ?? "cannot be checked";
}

/** What the token says, once all about it is found right. Rejects with KEY_INVALID, which says why for the admin. */
export async function verifyJwt(text: string, { def, keyFor }: TrustedIssuer): Promise<Claims> {
  const refuse = (why: string): Error => keyInvalid(`the JWT, of ${def.name}, ${why}`);
  let payload: JWTPayload;
  try {
    ({ payload } = await jwtVerify(text, keyFor, {
      algorithms: [def.algorithm],
      clockTolerance: def.leewayMs / 1000,
      requiredClaims: ["exp"],
      ...(def.issuer !== null && { issuer: def.issuer }),
      ...(def.audience.length > 0 && { audience: def.audience }),
    }));
  } catch (error) {
    throw refuse(reasonOf(error));
  }
  if (def.audience.length === 0 && payload.aud !== undefined)
    throw refuse('is for an audience, and the issuer has none in the config ("audience")');
  return claimsOf(payload, def, refuse);
}

function claimsOf(
  payload: JWTPayload,
  { userClaims, leewayMs, maxLifetimeMs }: TrustedIssuer["def"],
  refuse: (why: string) => Error,
): Claims {
  const { exp = 0, iat } = payload;
  if (!(exp > 0 && exp <= LATEST_SECONDS)) throw refuse("has an exp that is no time");
  // jose has seen to it that it is a number. A second, because a token is given whole ones.
  const latest = Date.now() / 1000 + leewayMs / 1000 + 1;
  if (iat !== undefined && !(iat >= 0 && iat <= latest)) throw refuse("is from the future (iat)");
  if (maxLifetimeMs !== null && !(iat !== undefined && (exp - iat) * 1000 <= maxLifetimeMs))
    throw refuse("was issued for longer than maxLifetime, or does not say when (iat)");
  const claim = userClaims.find((name) => Object.hasOwn(payload, name));
  const subject = claim === undefined ? undefined : payload[claim];
  if (typeof subject !== "string" || !isSubject(subject))
    throw refuse(`does not say who it is, in ${userClaims.join(" or ")}`);
  const issuedAt = iat === undefined ? null : iat * 1000;
  return { subject, issuedAt, expiresAt: exp * 1000 + leewayMs };
}

/** Text of one line that a person could have been given for a name. */
export const isSubject = (text: string): boolean =>
  text !== "" && text.length <= MAX_SUBJECT_LENGTH && !/[\p{Cc}\p{Cs}\u2028\u2029]/u.test(text);
