import type { Configuration, TokenEndpointResponse } from "openid-client";
import type { ProviderDef } from "../../config/config.ts";
import { objectIn } from "../../platform/post.ts";
import type { PostAnswer } from "../../platform/post.ts";
import { callProvider, retryAfterOf } from "./call.ts";
import { Refused, milliseconds } from "./provider.ts";
import type { Issued, ProviderClient } from "./provider.ts";

type OAuthProvider = Extract<ProviderDef, { kind: "oauth2" | "google" }>;

/** RFC 6749, section 5.2. Of the rest some may pass: nobody is sent back to connect for those. */
const TERMINAL = ["invalid_grant"];
const OF_CLIENT = ["invalid_client", "unauthorized_client"];

/** A provider as RFC 6749 has it. `secretOf` throws Refused. */
export function oauth2Client(def: OAuthProvider, secretOf: () => string): ProviderClient {
  return {
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

async function ask(
  def: OAuthProvider,
  secretOf: () => string,
  signal: AbortSignal,
  grant: (library: Library) => Promise<TokenEndpointResponse>,
): Promise<Issued> {
  const secret = secretOf();
  // Loaded here: most daemons have no provider.
  const lib = await import("openid-client");
  const server = { issuer: new URL(def.tokenUrl).origin, token_endpoint: def.tokenUrl };
  const auth = def.clientAuth === "basic" ? lib.ClientSecretBasic : lib.ClientSecretPost;
  const config = new lib.Configuration(server, def.clientId, {}, auth(secret));
  if (def.tokenUrl.startsWith("http:")) lib.allowInsecureRequests(config);
  let failure: Refused | undefined;
  config[lib.customFetch] = async (url, { headers, body }) => {
    try {
      const answer = await callProvider({ url, headers, body: textOf(body) }, signal);
      failure = refusalIn(answer);
      return new Response(withoutIdToken(answer), {
        status: answer.status,
        headers: { "content-type": "application/json" },
      });
    } catch (error) {
      failure = error as Refused;
      throw error;
    }
  };
  try {
    return issuedIn(await grant({ lib, config }));
  } catch {
    throw failure ?? new Refused("transient", "its answer is not what RFC 6749 describes");
  }
}

const textOf = (body: unknown): string =>
  body instanceof URLSearchParams ? body.toString() : typeof body === "string" ? body : "";

/**
 * Nobody is signed in here. An id token that did not pass would throw away the refresh token beside it,
 * which may be the only one that works.
 */
function withoutIdToken({ body }: PostAnswer): string {
  const { id_token: _, ...rest } = objectIn(body);
  return JSON.stringify(rest);
}

function refusalIn(answer: PostAnswer): Refused | undefined {
  const { status, body } = answer;
  if (status >= 200 && status < 300) return undefined;
  const { error } = objectIn(body);
  const code = typeof error === "string" && /^[\w.-]{1,64}$/.test(error) ? error : `HTTP ${status}`;
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
  return {
    accessToken,
    refreshToken,
    expiresInMs: milliseconds(seconds),
    refreshExpiresInMs: milliseconds(
      typeof refreshSeconds === "number" && refreshSeconds > 0 ? refreshSeconds : undefined,
    ),
  };
}
