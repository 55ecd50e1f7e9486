import { createPrivateKey, createPublicKey, createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { CryptoKey, JWSHeaderParameters } from "jose";
import type { JwtIssuerDef } from "../../config/config.ts";
import { SHORTEST_SECRET_BYTES } from "../../config/jwt-schema.ts";
import { SupervisorError } from "../../errors.ts";
import { readSecretFile } from "../../platform/secret-file.ts";
import { RemoteKeySet } from "./key-set.ts";

const SHORTEST_RSA_BITS = 2048;

/** An issuer of the config with its keys. */
export interface TrustedIssuer {
  readonly def: JwtIssuerDef;
  /** What tokens are checked with. Rejects where the header leads to no key. */
  readonly keyFor: (header: JWSHeaderParameters) => Promise<CryptoKey | KeyObject>;
  /** What tokens are signed with; undefined where the issuer is somebody else. */
  readonly signingKey: KeyObject | undefined;
  /** The same as that of another reading where nothing that is trusted has changed. */
  readonly revision: string;
}

export interface IssuerParts {
  scrubber: { set: (name: string, secret: string) => boolean };
  log: { warn: (fields: object, message: string) => void };
}

const refused = (message: string): SupervisorError =>
  new SupervisorError("CONFIG_UNREADABLE", message);

/** Reads the keys of all issuers. CONFIG_UNREADABLE for a file that cannot be used, with what to do. */
export function readIssuers(
  defs: readonly JwtIssuerDef[],
  parts: IssuerParts,
  onKeysChanged: () => void,
): TrustedIssuer[] {
  return defs.map((def) => {
    const { name, key } = def;
    if (key.kind === "secret") return withSecret(def, secretIn(key.file), parts);
    if (key.kind === "given") return withGiven(def, key.text.export().toString(), parts);
    if (key.kind === "public") return withKeyPair(def, key.file, key.privateFile);
    const keys = new RemoteKeySet(key.url, {
      onChanged: onKeysChanged,
      onFailed: (why) =>
        parts.log.warn(
          { issuer: name, url: key.url, why },
          "the keys of an issuer of JWTs could not be fetched",
        ),
    });
    return { def, keyFor: keys.find, signingKey: undefined, revision: revisionOf(def, "") };
  });
}

const revisionOf = (def: JwtIssuerDef, key: string): string => JSON.stringify([def, key]);

/** A secret with where it is from, and how another one gets there. */
interface Secret {
  text: string;
  from: string;
  /** What to do where it is a key, and where it is too short. */
  otherwise: { key: string; short: string };
}

function secretIn(file: string): Secret {
  return {
    text: readSecretFile(file, "the secret for JWTs"),
    from: file,
    otherwise: {
      key: "name it as publicKeyFile, with its algorithm",
      short: `(umask 077; openssl rand -base64 48 > '${file}'), or "allowShortSecret": true`,
    },
  };
}

function withGiven(
  def: JwtIssuerDef,
  text: string,
  parts: Pick<IssuerParts, "scrubber">,
): TrustedIssuer {
  const from = "JWT_SECRET";
  if (!def.algorithm.startsWith("HS")) {
    const publicKey = fittingKey(publicKeyIn(text, from), def.algorithm, from);
    return trusting(def, publicKey, undefined);
  }
  const otherwise = {
    key: "write its algorithm into JWT_ALGORITHM, such as RS256",
    short: 'JWT_SECRET="$(openssl rand -base64 48)", or JWT_ALLOW_SHORT_SECRET=true',
  };
  return withSecret(def, { text, from, otherwise }, parts);
}

function withSecret(
  def: JwtIssuerDef,
  { text, from, otherwise }: Secret,
  { scrubber }: Pick<IssuerParts, "scrubber">,
): TrustedIssuer {
  // Whoever has the public half could sign.
  if (text.trimStart().startsWith("-----BEGIN"))
    throw refused(`${from} holds a key and no secret: ${otherwise.key}`);
  const bytes = Buffer.from(text);
  if (bytes.length < SHORTEST_SECRET_BYTES && !def.allowShortSecret)
    throw refused(
      `${from}: the secret has ${bytes.length} bytes, and whoever sees a token can guess one under ${SHORTEST_SECRET_BYTES}: ${otherwise.short} while tokens of the old one are out`,
    );
  scrubber.set(`jwt ${def.name}`, text);
  const key = createSecretKey(bytes);
  const keyFor = (): Promise<KeyObject> => Promise.resolve(key);
  return { def, keyFor, signingKey: key, revision: revisionOf(def, text) };
}

function withKeyPair(def: JwtIssuerDef, file: string, privateFile: string | null): TrustedIssuer {
  const publicKey = fittingKey(readPublicKey(file), def.algorithm, file);
  const signingKey = privateFile === null ? undefined : readPrivateKey(privateFile);
  if (signingKey !== undefined && pemOf(createPublicKey(signingKey)) !== pemOf(publicKey))
    throw refused(`${privateFile} is not the private key of ${file}`);
  return trusting(def, publicKey, signingKey);
}

function trusting(
  def: JwtIssuerDef,
  publicKey: KeyObject,
  signingKey: KeyObject | undefined,
): TrustedIssuer {
  const keyFor = (): Promise<KeyObject> => Promise.resolve(publicKey);
  return { def, keyFor, signingKey, revision: revisionOf(def, pemOf(publicKey)) };
}

const pemOf = (key: KeyObject): string => key.export({ type: "spki", format: "pem" }).toString();

/** Anybody may read it; who may write it could put another in its place. */
function readPublicKey(file: string): KeyObject {
  let text: string;
  try {
    if ((statSync(file).mode & 0o022) !== 0)
      throw refused(`${file} can be changed by other accounts: chmod 644 '${file}'`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof SupervisorError) throw error;
    const { code = "unknown reason" } = error as NodeJS.ErrnoException;
    throw refused(`the public key for JWTs cannot be read from ${file} (${code})`);
  }
  if (/PRIVATE KEY/.test(text))
    throw refused(
      `${file} holds a private key: name it as privateKeyFile, and its public half here`,
    );
  return publicKeyIn(text, file);
}

function publicKeyIn(text: string, from: string): KeyObject {
  try {
    return createPublicKey(text);
  } catch {
    throw refused(`${from} holds no public key as PEM`);
  }
}

function readPrivateKey(file: string): KeyObject {
  const text = readSecretFile(file, "the private key for JWTs");
  try {
    return createPrivateKey(text);
  } catch {
    throw refused(`${file} holds no private key as PEM, or one with a passphrase`);
  }
}

const CURVES: Record<string, string> = {
  ES256: "prime256v1",
  ES384: "secp384r1",
  ES512: "secp521r1",
};

/** The key, where it is one for this algorithm. */
function fittingKey(key: KeyObject, algorithm: string, file: string): KeyObject {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const isFitting =
    algorithm === "EdDSA"
      ? type === "ed25519"
      : algorithm.startsWith("ES")
        ? details?.namedCurve === CURVES[algorithm]
        : type === "rsa" && (details?.modulusLength ?? 0) >= SHORTEST_RSA_BITS;
  if (!isFitting)
    throw refused(`${file}: the key is none for ${algorithm}, or an RSA key under 2048 bits`);
  return key;
}
