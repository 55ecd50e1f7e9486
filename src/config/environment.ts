import { createSecretKey } from "node:crypto";
import { freeSlug, slugFor } from "../platform/slug.ts";
import { SHORTEST_SECRET_BYTES, SHORT_SECRET } from "./jwt-schema.ts";
import { describeIssue } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { isReserved, remoteServer } from "./server-schema.ts";
import type { Variable, Variables } from "./dotenv.ts";
import type { ParsedRemote } from "./resolve.ts";
import type { Config, JwtIssuerDef } from "./types.ts";

// The variables that the MCP proxy API was run with, and what they mean in a config.

/** Which of the two has the URLs of servers: the list, where both are set. */
const urlsVariable = (variables: Variables): "MCP_URL" | "MCP_URLS" =>
  listIn(variables.MCP_URLS).length > 0 ? "MCP_URLS" : "MCP_URL";

/** What stands between commas, each once. */
const listIn = (text = ""): string[] => [
  ...new Set(
    text
      .split(",")
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ""),
  ),
];

/** The URLs of the servers that the variables name, each once. */
export const urlsOf = (variables: Variables): string[] =>
  listIn(variables[urlsVariable(variables)]);

/** Servers by name as they would stand in a config, and what is wrong with them. */
export interface GivenServers {
  servers: Record<string, ParsedRemote>;
  problems: Problem[];
}

/** The servers that the variables name, by host and port, and never by the name of one in the config. */
export function givenServers(variables: Variables, config: unknown): GivenServers {
  const named = namedUrls(variables, namesIn(config));
  const given: GivenServers = { servers: {}, problems: [] };
  const variable = urlsVariable(variables);
  for (const [index, [slug, url]] of named.entries()) {
    const result = remoteServer.safeParse({ url }, { error: describeIssue });
    if (result.success) given.servers[slug] = result.data;
    else
      for (const { message } of result.error.issues)
        given.problems.push({ path: [variable, index], message });
  }
  return given;
}

function namedUrls(variables: Variables, taken: readonly string[]): [slug: string, url: string][] {
  const slugs = new Set(taken);
  return urlsOf(variables).map((url) => {
    const slug = freeSlug(hostSlug(url), (name) => slugs.has(name) || isReserved(name));
    slugs.add(slug);
    return [slug, url];
  });
}

function namesIn(config: unknown): string[] {
  const { servers } = (config ?? {}) as { servers?: unknown };
  return typeof servers === "object" && servers !== null ? Object.keys(servers) : [];
}

function hostSlug(url: string): string {
  const host = URL.canParse(url) ? new URL(url).host : "";
  return slugFor(host) ?? "server";
}

/** The words that Python has for the levels of its logging. */
const PYTHON_LEVELS: Record<string, string> = {
  critical: "fatal",
  warning: "warn",
  notset: "trace",
};

function levelOf({ DEBUG, LOG_LEVEL }: Variables): string | undefined {
  // Programs of Node take a list of their own from that variable.
  if (truthOf(DEBUG) === true) return "debug";
  const level = LOG_LEVEL?.trim().toLowerCase();
  return level === undefined ? undefined : (PYTHON_LEVELS[level] ?? level);
}

const TRUE = ["1", "true", "yes", "on"];
const FALSE = ["0", "false", "no", "off"];

/** What is neither is for the schema to refuse. */
function truthOf(text = "false"): boolean | string {
  const word = text.trim().toLowerCase();
  if (TRUE.includes(word)) return true;
  return FALSE.includes(word) ? false : text;
}

const wholeNumber = (text: string): number | string =>
  /^\d+$/.test(text.trim()) ? Number(text) : text;

/** Stands where a file's name does in the config of an issuer; `withVariables` puts the secret in its place. */
const NO_FILE = "JWT_SECRET";

/** The config that the variables mean where there is no file, but for its servers. */
export function configIn(variables: Variables): object {
  const { PORT = "5000", JWT_SECRET, JWT_ALGORITHM = "HS256", ALLOWED_HOSTS } = variables;
  const level = levelOf(variables);
  const algorithm = JWT_ALGORITHM.trim();
  const issuer = {
    algorithm,
    [algorithm.startsWith("HS") ? "secretFile" : "publicKeyFile"]: NO_FILE,
    createUsers: true,
    ...(variables.JWT_ALLOW_SHORT_SECRET !== undefined && {
      allowShortSecret: truthOf(variables.JWT_ALLOW_SHORT_SECRET),
    }),
  };
  return {
    dataDir: variables.MCP_SUPERVISOR_DATA ?? "./data",
    listen: { host: "0.0.0.0", port: wholeNumber(PORT) },
    ...(ALLOWED_HOSTS !== undefined && { allowedHosts: listIn(ALLOWED_HOSTS) }),
    ...(level !== undefined && { log: { level } }),
    ...(JWT_SECRET !== undefined && { jwt: { issuers: [issuer] } }),
    defaultServer: onlyOne(namedUrls(variables, [])),
    servers: {},
  };
}

const onlyOne = (named: readonly [slug: string, url: string][]): string | null =>
  named.length === 1 ? named[0]![0] : null;

const VARIABLE_OF: Readonly<Record<string, Variable>> = {
  dataDir: "MCP_SUPERVISOR_DATA",
  controlSocket: "MCP_SUPERVISOR_DATA",
  listen: "PORT",
  allowedHosts: "ALLOWED_HOSTS",
  log: "LOG_LEVEL",
  jwt: "JWT_ALGORITHM",
};

/** The problem of such a config as one of the variable that has it. */
export function toVariable({ path, message }: Problem): Problem {
  const variable = path.includes("allowShortSecret")
    ? "JWT_ALLOW_SHORT_SECRET"
    : VARIABLE_OF[String(path[0])];
  return { path: variable === undefined ? path : [variable], message };
}

/** The config with what is in no file: the secret of JWTs, where there is no file, and the app of Feishu. */
export function withVariables(config: Config, variables: Variables): Config {
  const isAlone = config.path === null;
  const { jwt, warnings } = config;
  return {
    ...config,
    jwt: isAlone ? { issuers: jwt.issuers.map((one) => withSecret(one, variables)) } : jwt,
    environment: calledByUrl(config.environment),
    ownApp: appIn(variables),
    warnings: isAlone ? oddities(config, variables) : [...warnings, ...ignored(variables)],
  };
}

const withSecret = (issuer: JwtIssuerDef, { JWT_SECRET }: Variables): JwtIssuerDef => ({
  ...issuer,
  key: { kind: "given", text: createSecretKey(JWT_SECRET!, "utf8") },
});

/** Whoever named them so calls them so. */
const calledByUrl = (servers: Config["environment"]): Config["environment"] =>
  Object.fromEntries(
    Object.entries(servers).map(([name, def]) => [
      name,
      { ...def, title: def.kind === "remote" ? def.url : def.title },
    ]),
  );

function appIn({ FEISHU_APP_ID: id, FEISHU_APP_SECRET: secret }: Variables): Config["ownApp"] {
  if (id === undefined || secret === undefined) return null;
  return { id: id.trim(), secret: createSecretKey(secret, "utf8") };
}

const oddities = ({ jwt: { issuers } }: Config, { JWT_SECRET = "" }: Variables): string[] => {
  if (issuers.length === 0)
    return ["JWT_SECRET: is not set, so nobody comes in but by an access key: user add NAME"];
  const isShort = issuers.some(({ allowShortSecret }) => allowShortSecret);
  return isShort && Buffer.byteLength(JWT_SECRET) < SHORTEST_SECRET_BYTES
    ? [`JWT_ALLOW_SHORT_SECRET: ${SHORT_SECRET}`]
    : [];
};

const IGNORED = ["JWT_SECRET", "JWT_ALGORITHM", "ALLOWED_HOSTS"] as const;

/** What goes by the file alone, where there is one. */
function ignored(variables: Variables): string[] {
  const names = IGNORED.filter((name) => variables[name] !== undefined);
  if (names.length === 0) return [];
  return [
    `environment: ${names.join(", ")} without effect beside a config file, which has "jwt" and "allowedHosts" for that`,
  ];
}
