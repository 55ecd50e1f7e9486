import type { ProviderDef } from "../../config/config.ts";
import { objectIn } from "../../platform/post.ts";
import type { PostAnswer } from "../../platform/post.ts";
import { callProvider, retryAfterOf } from "./call.ts";
import { Refused, milliseconds } from "./provider.ts";
import type { Issued, ProviderClient, RefusalKind, SharedGrant } from "./provider.ts";

type FeishuProvider = Extract<ProviderDef, { kind: "feishu" }>;
/** What of it is asked with. */
export type FeishuClientOf = Pick<FeishuProvider, "api" | "baseUrl" | "accountsUrl" | "clientId">;

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

/** Feishu and Lark, whose answers have a `code` that is 0 where all is well. `secretOf` throws Refused. */
export function feishuClient(def: FeishuClientOf, secretOf: () => string): ProviderClient {
  const open = `${def.baseUrl}/open-apis`;
  let app: { token: string; until: number } | undefined;

  const issue = async (grant: SharedGrant, signal: AbortSignal): Promise<Issued> => {
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
    const url = `${open}/auth/v3/${grant}_access_token/internal`;
    const answer = await ask({ url, body }, signal);
    const { [`${grant}_access_token`]: token, expire } = answer;
    return issuedIn({ access_token: token, expires_in: expire });
  };

  /** What v1 wants a refresh to be signed with. */
  const appToken = async (signal: AbortSignal): Promise<string> => {
    if (app !== undefined && app.until - APP_TOKEN_LEFT_MS > Date.now()) return app.token;
    const { accessToken, expiresInMs = 0 } = await issue("app", signal);
    app = { token: accessToken, until: Date.now() + expiresInMs };
    return accessToken;
  };

  const refresh = async (refreshToken: string, signal: AbortSignal): Promise<Issued> => {
    const body = { grant_type: "refresh_token", refresh_token: refreshToken };
    if (def.api === "v2") {
      const client = { client_id: def.clientId, client_secret: secretOf() };
      const url = `${open}/authen/v2/oauth/token`;
      return issuedIn(await ask({ url, body: { ...body, ...client } }, signal));
    }
    const bearer = await appToken(signal).catch((error: unknown) => {
      if (!(error instanceof Refused)) throw error;
      const { kind, message, retryAfterMs } = error;
      throw new Refused(kind, message, { retryAfterMs, isAsked: false });
    });
    const url = `${open}/authen/v1/oidc/refresh_access_token`;
    try {
      const { data } = await ask({ url, body, bearer }, signal);
      return issuedIn(data ?? {});
    } catch (error) {
      // It may be the app's token that is taken no more.
      app = undefined;
      throw error;
    }
  };

  return { issue, refresh };
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
  const codes = [value["code"], value["error"]].flatMap((code) =>
    (typeof code === "string" || typeof code === "number") && /^[\w.-]{1,64}$/.test(String(code))
      ? [String(code)]
      : [],
  );
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
  return {
    accessToken,
    refreshToken: textIn(answer["refresh_token"]),
    tokenType: textIn(answer["token_type"]),
    scope: textIn(answer["scope"]),
    expiresInMs: milliseconds(secondsIn(answer["expires_in"])),
    refreshExpiresInMs: milliseconds(
      secondsIn(answer["refresh_token_expires_in"] ?? answer["refresh_expires_in"]),
    ),
  };
}
