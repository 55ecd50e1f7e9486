// oxlint-disable-next-line import/no-unassigned-import -- what x509 is made with asks for it
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { AuthorityText } from "./authorities.ts";

const KEY = { name: "ECDSA", namedCurve: "P-256" } as const;
const SIGNING = { name: "ECDSA", hash: "SHA-256" } as const;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Clocks of nodes are not ours. */
const BEFORE_MS = HOUR_MS;
const CA_DAYS = 3650;
const POD_DAYS = 90;
const GATEWAY_MS = DAY_MS;

/** By this name, and no other, shims know the gateway. */
const GATEWAY_NAME = "mcp-supervisor-gateway";

/** A key and a certificate for it, as PEM. */
export interface Issued {
  readonly key: string;
  readonly certificate: string;
}

const validity = (ms: number): { notBefore: Date; notAfter: Date } => ({
  notBefore: new Date(Date.now() - BEFORE_MS),
  notAfter: new Date(Date.now() + ms),
});

const newKeys = async (): Promise<webcrypto.CryptoKeyPair> =>
  await webcrypto.subtle.generateKey(KEY, true, ["sign", "verify"]);

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = await webcrypto.subtle.exportKey("pkcs8", key);
  return x509.PemConverter.encode(der, "PRIVATE KEY");
}

/** A CA that signs nothing but the certificates of pods and of the gateway. */
export async function makeAuthority(): Promise<AuthorityText> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=mcp-supervisor pods",
    keys,
    signingAlgorithm: SIGNING,
    ...validity(CA_DAYS * DAY_MS),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return { key: await pemOf(keys.privateKey), certificate: certificate.toString("pem") };
}

/** The name beside the pod's own: two pods of one name, one after the other, are not the same. */
export const uidName = (uid: string): string => `uid-${uid}`;

/** Proves to the gateway that a server is that pod, and opens nothing. */
export const issueForPod = async (
  authority: AuthorityText,
  pod: { readonly name: string; readonly uid: string },
): Promise<Issued> => {
  const names = [pod.name, uidName(pod.uid)];
  const ms = POD_DAYS * DAY_MS;
  return await issue(authority, { names, usage: x509.ExtendedKeyUsage.serverAuth, ms });
};

/** Proves to shims that a client is the gateway. */
export const issueForGateway = async (authority: AuthorityText): Promise<Issued> => {
  const names = [GATEWAY_NAME];
  const usage = x509.ExtendedKeyUsage.clientAuth;
  return await issue(authority, { names, usage, ms: GATEWAY_MS });
};

interface Wish {
  readonly names: readonly string[];
  readonly usage: x509.ExtendedKeyUsage;
  readonly ms: number;
}

async function issue(authority: AuthorityText, { names, usage, ms }: Wish): Promise<Issued> {
  const [issuer, signingKey, keys] = [
    new x509.X509Certificate(authority.certificate),
    await signerOf(authority),
    await newKeys(),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${names[0]}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: SIGNING,
    ...validity(ms),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([usage]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: "dns", value }) as const),
      ),
    ],
  });
  return { key: await pemOf(keys.privateKey), certificate: certificate.toString("pem") };
}

async function signerOf({ key }: AuthorityText): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decodeFirst(key);
  return await webcrypto.subtle.importKey("pkcs8", der, KEY, false, ["sign"]);
}
