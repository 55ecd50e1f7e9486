import type { ProviderDef } from "../../config/config.ts";
import { objectIn } from "../../platform/post.ts";
import type { PostAnswer } from "../../platform/post.ts";
import { callProvider, retryAfterOf } from "./call.ts";
import { createHash } from "node:crypto";
import { Refused, errorCodeIn, milliseconds, requireTokens } from "./provider.ts";
import type { Authorization, Issued, ProviderClient, RefusalKind } from "./provider.ts";

type FeishuProvider = Extract<ProviderDef, { kind: "feishu" }>;
/** What of it is asked with. */
export type FeishuClientOf = Pick<FeishuProvider, "api" | "baseUrl" | "accountsUrl" | "clientId"> &
  Partial<Pick<FeishuProvider, "scopes">>;

const KINDS: Readonly<Record<string, RefusalKind>> = {
  20026: "terminal",
  20037: "terminal",
  20064: "terminal",
  20073: "terminal",
  invalid_grant: "terminal",
  20002: "config",
  20024: "config",
  20070: "config",
  invalid_client: "config",
};

/** An app's token that ends sooner than this is not used for a refresh: the two must not race. */
const APP_TOKEN_LEFT_MS = 60_000;

interface Call {
  url: string;
  body: Record<string, string>;
  encoding?: "json" | "form";
  bearer?: string;
}

type IssueShared = ProviderClient["issue"];
/** What a user's refresh token or code is good for; `v1` is the end of the path that takes it there. */
type IssueToUser = (
  body: Record<string, string>,
  v1: string,
  signal: AbortSignal,
) => Promise<Issued>;

/** Feishu and Lark, whose answers have a `code` that is 0 where all is well. `secretOf` throws Refused. */
export function feishuClient(def: FeishuClientOf, secretOf: () => string): ProviderClient {
  const issue: IssueShared = async (grant, signal) => {
    if (grant === "client_credentials") {
      const body = {
        grant_type: grant,
        client_id: def.clientId,
        client_secret: secretOf(),
      };
      const call = { url: `${def.accountsUrl}/oauth/v3/token`, body, encoding: "form" } as const;
      return issuedIn(await ask(call, signal));
    }
    const body = { app_id: def.clientId, app_secret: secretOf() };
    const url = `${def.baseUrl}/open-apis/auth/v3/${grant}_access_token/internal`;
    const answer = await ask({ url, body }, signal);
    const { [`${grant}_access_token`]: token, expire } = answer;
    return issuedIn({ access_token: token, expires_in: expire });
  };
  const issueToUser = def.api === "v2" ? byV2(def, secretOf) : byV1(def, issue);
  return {
    issue,
    authorizeUrl: async (authorization) => urlToAuthorize(def, authorization),
    refresh: async (refreshToken, signal) => {
      const body = { grant_type: "refresh_token", refresh_token: refreshToken };
      return await issueToUser(body, "refresh_access_token", signal);
    },
    exchange: async ({ redirectUri, verifier }, query, signal) => {
      const code = { grant_type: "authorization_code", code: codeIn(def, query) };
      const proof = { redirect_uri: redirectUri, code_verifier: verifier };
      const body = def.api === "v2" ? { ...code, ...proof } : code;
      return await issueToUser(body, "access_token", signal);
    },
  };
}

function byV2({ baseUrl, clientId }: FeishuClientOf, secretOf: () => string): IssueToUser {
  return async (body, _, signal) => {
    const client = { client_id: clientId, client_secret: secretOf() };
    const url = `${baseUrl}/open-apis/authen/v2/oauth/token`;
    return issuedIn(await ask({ url, body: { ...body, ...client } }, signal));
  };
}

function byV1({ baseUrl }: FeishuClientOf, issue: IssueShared): IssueToUser {
  let app: { token: string; until: number } | undefined;
  /** What v1 wants a request to be signed with. */
  const appToken = async (signal: AbortSignal): Promise<string> => {
    if (app !== undefined && app.until - APP_TOKEN_LEFT_MS > Date.now()) return app.token;
    const { accessToken, expiresInMs = 0 } = await issue("app", signal);
    app = { token: accessToken, until: Date.now() + expiresInMs };
    return accessToken;
  };
  return async (body, v1, signal) => {
    const bearer = await appToken(signal).catch((error: unknown) => {
      if (!(error instanceof Refused)) throw error;
      const { kind, message, retryAfterMs } = error;
      throw new Refused(kind, message, { retryAfterMs, isAsked: false });
    });
    try {
      const url = `${baseUrl}/open-apis/authen/v1/oidc/${v1}`;
      const { data } = await ask({ url, body, bearer }, signal);
      return issuedIn(data ?? {});
    } catch (error) {
      // It may be the app's token that is taken no more.
      app = undefined;
      throw error;
    }
  };
}

function urlToAuthorize(def: FeishuClientOf, { redirectUri, state, verifier }: Authorization): URL {
  const url = new URL(`${def.accountsUrl}/open-apis/authen/v1/authorize`);
  // Without it there is no refresh token.
  const scopes = new Set([...(def.scopes ?? []), "offline_access"]);
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  const asked = {
    client_id: def.clientId,
    response_type: "code",
    redirect_uri: redirectUri,
    scope: [...scopes].join(" "),
    state,
    // The exchange of v1 has no place for the verifier.
    ...(def.api === "v2" ? { code_challenge: challenge, code_challenge_method: "S256" } : {}),
  };
  for (const [name, value] of Object.entries(asked)) url.searchParams.set(name, value);
  return url;
}

/** What the browser brought. Throws Refused where that is none. */
function codeIn(def: FeishuClientOf, query: URLSearchParams): string {
  const [error, iss, codes] = [query.get("error"), query.get("iss"), query.getAll("code")];
  if (iss !== null && iss !== new URL(def.accountsUrl).origin)
    throw new Refused("terminal", "the browser brought the answer of another provider");
  if (error !== null)
    throw new Refused("terminal", errorCodeIn(error) ?? "an error without a code");
  if (codes.length === 1) return codes[0]!;
  throw new Refused("terminal", "the browser brought no code");
}

async function ask(
  { url, body, encoding = "json", bearer }: Call,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const isJson = encoding === "json";
  const headers: Record<string, string> = {
    "content-type": isJson
      ? "application/json; charset=utf-8"
      : "application/x-www-form-urlencoded",
  };
  if (bearer !== undefined) headers["authorization"] = `Bearer ${bearer}`;
  const text = isJson ? JSON.stringify(body) : new URLSearchParams(body).toString();
  const answer = await callProvider({ url, headers, body: text }, signal);
  const value = objectIn(answer.body);
  // Absent where the answer is as RFC 6749 has it; number or text.
  const { code = 0 } = value;
  const isWell = code === 0 || code === "0";
  if (answer.status === 200 && isWell) return value;
  throw refusalIn(answer, value);
}

function refusalIn(answer: PostAnswer, value: Record<string, unknown>): Refused {
  const codes = [value["code"], value["error"]].flatMap((code) => errorCodeIn(code) ?? []);
  // What is broken there may say anything of the token.
  const known = answer.status >= 500 ? undefined : codes.find((code) => KINDS[code] !== undefined);
  const kind = known === undefined ? "transient" : KINDS[known]!;
  const said = known ?? codes[0] ?? `HTTP ${answer.status}`;
  return new Refused(kind, said, { retryAfterMs: retryAfterOf(answer) });
}

const textIn = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

/** Seconds, as a number or text; undefined for what is none. */
function secondsIn(value: unknown): number | undefined {
  const seconds = typeof value === "string" ? Number(value) : value;
  return typeof seconds === "number" && seconds > 0 ? seconds : undefined;
}

function issuedIn(value: unknown): Issued {
  const answer = value as Record<string, unknown>;
  const accessToken = textIn(answer["access_token"]);
  if (accessToken === undefined) throw new Refused("transient", "its answer holds no token");
  return requireTokens({
    accessToken,
    refreshToken: textIn(answer["refresh_token"]),
    tokenType: textIn(answer["token_type"]),
    scope: textIn(answer["scope"]),
    expiresInMs: milliseconds(secondsIn(answer["expires_in"])),
    refreshExpiresInMs: milliseconds(
      secondsIn(answer["refresh_token_expires_in"] ?? answer["refresh_expires_in"]),
    ),
  });
}
