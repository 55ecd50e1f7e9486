import type { Configuration, CustomFetch, TokenEndpointResponse } from "openid-client";
import type { ProviderDef } from "../../config/config.ts";
import { objectIn } from "../../platform/post.ts";
import type { PostAnswer } from "../../platform/post.ts";
import { callProvider, retryAfterOf } from "./call.ts";
import { Refused, errorCodeIn, milliseconds, requireTokens } from "./provider.ts";
import type { Authorization, Issued, ProviderClient } from "./provider.ts";

type OAuthProvider = Extract<ProviderDef, { kind: "oauth2" | "google" }>;

/** RFC 6749, section 5.2. Of the rest some may pass: nobody is sent back to connect for those. */
const TERMINAL = ["invalid_grant"];
const OF_CLIENT = ["invalid_client", "unauthorized_client"];

/** A provider as RFC 6749 has it. `secretOf` throws Refused. */
export function oauth2Client(def: OAuthProvider, secretOf: () => string): ProviderClient {
  return {
    authorizeUrl: async (authorization) => await authorizeUrl(def, authorization),
    exchange: async (authorization, query, signal) =>
      await ask(def, secretOf, signal, async (library) => exchange(library, authorization, query)),
    refresh: async (refreshToken, signal) =>
      await ask(def, secretOf, signal, async ({ lib, config }) =>
        lib.refreshTokenGrant(config, refreshToken),
      ),
    issue: async (_grant, signal) =>
      await ask(def, secretOf, signal, async ({ lib, config }) =>
        lib.clientCredentialsGrant(config, { scope: def.scopes.join(" ") }),
      ),
  };
}

interface Library {
  lib: typeof import("openid-client");
  config: Configuration;
}

interface AskedLibrary extends Library {
  /** Whether the provider was called. */
  isAsked: () => boolean;
}

const ODD = new Refused("transient", "its answer is not what RFC 6749 describes");

async function libraryFor(
  def: OAuthProvider,
  secret: string | undefined,
): Promise<Library & { fetchBy: (fetch: CustomFetch) => void }> {
  // Loaded here: most daemons have no provider.
  const lib = await import("openid-client");
  const server = {
    issuer: (def.kind === "oauth2" ? def.issuer : undefined) ?? new URL(def.authorizeUrl).origin,
    authorization_endpoint: def.authorizeUrl,
    token_endpoint: def.tokenUrl,
  };
  const auth = def.clientAuth === "basic" ? lib.ClientSecretBasic : lib.ClientSecretPost;
  const how = secret === undefined ? lib.None() : auth(secret);
  const config = new lib.Configuration(server, def.clientId, {}, how);
  if ([def.authorizeUrl, def.tokenUrl].some((url) => url.startsWith("http:")))
    lib.allowInsecureRequests(config);
  return {
    lib,
    config,
    fetchBy: (fetch) => {
      config[lib.customFetch] = fetch;
    },
  };
}

async function authorizeUrl(
  def: OAuthProvider,
  { redirectUri, state, verifier }: Authorization,
): Promise<URL> {
  const { lib, config } = await libraryFor(def, undefined);
  const scope = def.scopes.join(" ");
  return lib.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    ...(scope === "" ? {} : { scope }),
    state,
    code_challenge: await lib.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    // Google gives a refresh token with the first consent only, unless it is asked for that anew.
    ...(def.kind === "google" ? { access_type: "offline", prompt: "consent" } : {}),
  });
}

async function exchange(
  { lib, config, isAsked }: AskedLibrary,
  { redirectUri, state, verifier }: Authorization,
  query: URLSearchParams,
): Promise<TokenEndpointResponse> {
  const back = new URL(redirectUri);
  back.search = query.toString();
  try {
    return await lib.authorizationCodeGrant(config, back, {
      expectedState: state,
      pkceCodeVerifier: verifier,
    });
  } catch (error) {
    if (error instanceof lib.AuthorizationResponseError)
      throw new Refused("terminal", errorCodeIn(error.error) ?? "an error without a code");
    if (isAsked()) throw error;
    throw new Refused("terminal", "the browser brought the answer of another provider, or none");
  }
}

async function ask(
  def: OAuthProvider,
  secretOf: () => string,
  signal: AbortSignal,
  grant: (library: AskedLibrary) => Promise<TokenEndpointResponse>,
): Promise<Issued> {
  const { lib, config, fetchBy } = await libraryFor(def, secretOf());
  let failure = ODD;
  let isAsked = false;
  fetchBy(async (url, { headers, body }) => {
    isAsked = true;
    try {
      const answer = await callProvider({ url, headers, body: textOf(body) }, signal);
      const refusal = refusalIn(answer);
      failure = refusal ?? ODD;
      return new Response(asDescribed(answer), {
        status: refusal === undefined ? 200 : answer.status,
        headers: { "content-type": "application/json" },
      });
    } catch (error) {
      failure = error as Refused;
      throw error;
    }
  });
  try {
    return issuedIn(await grant({ lib, config, isAsked: () => isAsked }));
  } catch (error) {
    throw error instanceof Refused ? error : failure;
  }
}

const textOf = (body: unknown): string =>
  body instanceof URLSearchParams ? body.toString() : typeof body === "string" ? body : "";

/**
 * The answer without what the library would throw all of it away for: the refresh token in it may be the
 * only one that works. Nobody is signed in here, and where the access token stands says the config.
 */
function asDescribed({ body }: PostAnswer): string {
  const { id_token: _, ...rest } = objectIn(body);
  if (typeof rest["access_token"] !== "string") return JSON.stringify(rest);
  const { expires_in: lifetime, refresh_token: refreshToken, scope } = rest;
  const seconds = Number.parseFloat(String(lifetime));
  return JSON.stringify({
    ...rest,
    token_type: "bearer",
    expires_in: seconds > 0 && Number.isFinite(seconds) ? seconds : undefined,
    refresh_token:
      typeof refreshToken === "string" && refreshToken !== "" ? refreshToken : undefined,
    scope: typeof scope === "string" ? scope : undefined,
  });
}

function refusalIn(answer: PostAnswer): Refused | undefined {
  const { status, body } = answer;
  if (status >= 200 && status < 300) return undefined;
  const { error } = objectIn(body);
  const code = errorCodeIn(error) ?? `HTTP ${status}`;
  const isClients = status >= 400 && status < 500;
  const kind =
    isClients && TERMINAL.includes(code)
      ? "terminal"
      : isClients && OF_CLIENT.includes(code)
        ? "config"
        : "transient";
  return new Refused(kind, code, { retryAfterMs: retryAfterOf(answer) });
}

function issuedIn(response: TokenEndpointResponse): Issued {
  const { access_token: accessToken, refresh_token: refreshToken, expires_in: seconds } = response;
  const { refresh_token_expires_in: refreshSeconds } = response;
  return requireTokens({
    accessToken,
    refreshToken,
    expiresInMs: milliseconds(seconds),
    scope: response.scope,
    refreshExpiresInMs: milliseconds(
      typeof refreshSeconds === "number" && refreshSeconds > 0 ? refreshSeconds : undefined,
    ),
  });
}
