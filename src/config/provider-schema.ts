import { z } from "zod";
import { duration } from "./scalars.ts";
import { SLUG, SLUG_RULE } from "../platform/slug.ts";
import { filePath, providerUrl, serviceUrl, word } from "./strings.ts";

/** Feishu's open platform. */
export const FEISHU_BASE = "https://open.feishu.cn";

export const providerName = z.string().regex(SLUG, SLUG_RULE);

const common = {
  clientId: word.describe("what the provider knows this installation by"),
  clientSecretFile: filePath
    .optional()
    .describe(
      "holds the client's secret; unless set, the systemd credential `NAME.secret`, else `NAME.secret` in `dataDir`, NAME being the provider's",
    ),
  scopes: z.array(word).default([]).describe("what is asked for when a user connects"),
  defaultExpiresIn: duration()
    .prefault("1h")
    .describe("how long an access token is taken to live where the provider does not say"),
};

const clientAuth = (usual: "basic" | "post") =>
  z
    .enum(["basic", "post"])
    .default(usual)
    .describe(
      "how the client shows its secret: in the `Authorization` header (`basic`) or in the body (`post`)",
    );

const AUTHORIZE = "where a user's browser is sent to connect";
const TOKEN = "where tokens are fetched and refreshed";

const oauth2 = z.strictObject({
  kind: z.literal("oauth2").describe("which of the three it is"),
  authorizeUrl: providerUrl.describe(AUTHORIZE),
  issuer: word
    .optional()
    .describe(
      "what the provider names itself by, as `iss`, to a browser that comes back from it; unless set, the origin of `authorizeUrl`",
    ),
  tokenUrl: providerUrl.describe(TOKEN),
  clientAuth: clientAuth("basic"),
  ...common,
});

const google = z.strictObject({
  kind: z.literal("google").describe("which of the three it is"),
  authorizeUrl: providerUrl
    .default("https://accounts.google.com/o/oauth2/v2/auth")
    .describe(AUTHORIZE),
  tokenUrl: providerUrl.default("https://oauth2.googleapis.com/token").describe(TOKEN),
  clientAuth: clientAuth("post"),
  ...common,
});

const feishu = z.strictObject({
  kind: z.literal("feishu").describe("which of the three it is"),
  api: z
    .enum(["v2", "v1-oidc"])
    .default("v2")
    .describe(
      "which API issued the users' refresh tokens: `v2` for `authen/v2/oauth/token`, `v1-oidc` for `authen/v1/oidc`",
    ),
  baseUrl: serviceUrl
    .default(FEISHU_BASE)
    .describe("the open platform; `https://open.larksuite.com` for Lark"),
  accountsUrl: serviceUrl
    .default("https://accounts.feishu.cn")
    .describe("the accounts service; `https://accounts.larksuite.com` for Lark"),
  ...common,
});

/** Where users' tokens come from, and are refreshed at. */
export const provider = z.discriminatedUnion("kind", [oauth2, google, feishu], {
  error: 'must be "oauth2", "google" or "feishu"',
});

/** Whose token a server of a provider gets: its user's, or one of the provider's for all users. */
export const GRANTS = ["user", "app", "tenant", "client_credentials"] as const;

/** The grants that each kind of provider knows. */
export const GRANTS_OF: Readonly<Record<string, readonly string[]>> = {
  oauth2: ["user", "client_credentials"],
  google: ["user"],
  feishu: GRANTS,
};
