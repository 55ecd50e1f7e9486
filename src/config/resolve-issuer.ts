import { NAMELESS_ISSUER } from "./jwt-schema.ts";
import type { ParsedIssuer } from "./jwt-schema.ts";
import type { JwtIssuerDef, JwtKeyDef } from "./types.ts";

type Absolute = (file: string) => string;

export function resolveIssuer(parsed: ParsedIssuer, absolute: Absolute): JwtIssuerDef {
  const { algorithm, createUsers, allowShortSecret, audience = [], userClaim } = parsed;
  return {
    name: parsed.issuer ?? NAMELESS_ISSUER,
    issuer: parsed.issuer ?? null,
    algorithm,
    key: resolveKey(parsed, absolute),
    audience: [audience].flat(),
    userClaims: userClaim === undefined ? ["user_id", "sub"] : [userClaim],
    leewayMs: parsed.leeway,
    maxLifetimeMs: parsed.maxLifetime ?? null,
    createUsers,
    allowShortSecret,
  };
}

/** There is one of the three; relations.ts sees to it. */
function resolveKey(parsed: ParsedIssuer, absolute: Absolute): JwtKeyDef {
  const { secretFile: secret, publicKeyFile: file, privateKeyFile, jwksUrl } = parsed;
  if (secret !== undefined) return { kind: "secret", file: absolute(secret) };
  if (file === undefined) return { kind: "jwks", url: jwksUrl! };
  const privateFile = privateKeyFile === undefined ? null : absolute(privateKeyFile);
  return { kind: "public", file: absolute(file), privateFile };
}
