/** What was shown to come in, without the secret: two that are equal here end together. */
export interface Credential {
  readonly user: string;
  /** What vouches for it: `key` for an access key of ours, else the name of an issuer of JWTs. */
  readonly issuer: string;
  /** Of the issuer's credentials, this one: the id of an access key, the digest of a JWT. */
  readonly credentialId: string;
}

/** Who a request comes from. All that is decided about the request is decided by this, whatever proved it. */
export interface Principal extends Credential {
  /** What the issuer calls them; for an access key the user's name. */
  readonly subject: string;
  /** What the user or an admin calls the credential. */
  readonly label: string | null;
  /** Epoch ms; null where it does not end by itself. */
  readonly expiresAt: number | null;
}

/** The issuer of access keys. */
export const BY_KEY = "key";

/**
 * Whether what the one opened is the other's too: that of an access key is that key's alone, that of a
 * JWT its issuer's for that user, so that the next token goes on with it.
 */
export const isSamePrincipal = (one: Credential, other: Credential): boolean =>
  one.user === other.user &&
  one.issuer === other.issuer &&
  (one.issuer !== BY_KEY || one.credentialId === other.credentialId);

export const isSameCredential = (one: Credential, other: Credential): boolean =>
  one.credentialId === other.credentialId && one.user === other.user && one.issuer === other.issuer;
