/** What a provider gave. */
export interface Issued {
  accessToken: string;
  /** Undefined where the one before stays good. */
  refreshToken: string | undefined;
  /** Undefined where the provider does not say. */
  expiresInMs: number | undefined;
  refreshExpiresInMs: number | undefined;
  /** As the provider named them, where somebody asks for that. */
  tokenType?: string | undefined;
  scope?: string | undefined;
}

/** RFC 6749, appendix A: nothing else goes into a header, and no environment takes more. */
const TOKEN = /^[\x20-\x7e]{1,130048}$/;

/** What a provider gave, where that can be tokens; else a transient Refused. */
export function requireTokens(issued: Issued): Issued {
  const { accessToken, refreshToken } = issued;
  const tokens = refreshToken === undefined ? [accessToken] : [accessToken, refreshToken];
  if (tokens.every((token) => TOKEN.test(token))) return issued;
  throw new Refused("transient", "its answer holds what can be no token");
}

/** A browser's way to the provider and back. */
export interface Authorization {
  /** Where the browser comes back to. */
  redirectUri: string;
  state: string;
  /** Of PKCE (RFC 7636): the provider sees its digest first, and itself with the code. */
  verifier: string;
}

/**
 * What a refusal means. `terminal`: that refresh token is dead. `config`: the client is, whatever the
 * token. `transient`: all else; the same may succeed later.
 */
export type RefusalKind = "terminal" | "transient" | "config";

/** The provider gave nothing. The message is of our words and its code, never of its text. */
export class Refused extends Error {
  readonly kind: RefusalKind;
  readonly retryAfterMs: number | undefined;
  /** The provider may have got what it was to be asked with. */
  readonly isAsked: boolean;

  constructor(
    kind: RefusalKind,
    message: string,
    { retryAfterMs, isAsked = true }: { retryAfterMs?: number | undefined; isAsked?: boolean } = {},
  ) {
    super(message);
    this.name = "Refused";
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
    this.isAsked = isAsked;
  }
}

/** The grants that are no user's. */
export type SharedGrant = "app" | "tenant" | "client_credentials";

/** Asks a provider, once for each call: refresh tokens and codes may be good for one use. All reject with Refused. */
export interface ProviderClient {
  /** Where a user's browser is sent for the user's consent. */
  authorizeUrl(authorization: Authorization): Promise<URL>;
  /** Fetches the first token, with what the browser came back with. */
  exchange(
    authorization: Authorization,
    query: URLSearchParams,
    signal: AbortSignal,
  ): Promise<Issued>;
  refresh(refreshToken: string, signal: AbortSignal): Promise<Issued>;
  issue(grant: SharedGrant, signal: AbortSignal): Promise<Issued>;
}

/** A hundred years: what ends later is no date any more. */
const LONGEST_MS = 100 * 365 * 86_400_000;

/** A lifetime, whole and within bounds: what cannot be stored would take the token with it. */
export const milliseconds = (seconds: number | undefined): number | undefined =>
  seconds === undefined ? undefined : Math.min(Math.floor(seconds * 1000), LONGEST_MS);

/** The user, or the provider for the user, has said no. */
export const DENIED = "access_denied";

/** A code of an error as a provider names it; what is no such code is not repeated. */
export const errorCodeIn = (value: unknown): string | undefined =>
  (typeof value === "string" || typeof value === "number") && /^[\w.-]{1,64}$/.test(String(value))
    ? String(value)
    : undefined;
