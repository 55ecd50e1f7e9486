import { existsSync } from "node:fs";
import path from "node:path";
import { passedOver } from "./foreign.ts";
import { SHORT_SECRET } from "./jwt-schema.ts";
import { podRecipe, resolveKubernetes } from "./kubernetes.ts";
import { formatProblem } from "./problems.ts";
import type { Problem } from "./problems.ts";
import { controlSocketPath, impliedServer } from "./relations.ts";
import { resolveIssuer } from "./resolve-issuer.ts";
import type { ParsedConfig, ParsedNotice, ParsedProvider, ParsedServer } from "./schema.ts";
import type { BuiltinServer, ChildServer, Config, ProviderDef, ServerDef } from "./types.ts";

/** Where a config came from. */
export interface Place {
  path: string | null;
  baseDir: string;
  env: NodeJS.ProcessEnv;
}

/** Fills in what depends on other keys or on the machine, and makes paths absolute. */
export function resolveConfig(
  parsed: ParsedConfig,
  place: Place,
  environment: Readonly<Record<string, ParsedRemote>>,
): Config {
  const { listen } = parsed;
  const absolute = (file: string): string => path.resolve(place.baseDir, file);
  const dataDir = absolute(parsed.dataDir);
  const kubernetes = parsed.kubernetes && resolveKubernetes(parsed.kubernetes, absolute);
  const secrets = { dataDir, ...place };
  const resolved = (servers: Named<ParsedServer>): Record<string, ServerDef> =>
    resolveServers(servers, { ...parsed, kubernetes }, secrets);
  const enabled = resolved(switched(parsed, "on"));
  return {
    path: place.path,
    baseDir: place.baseDir,
    dataDir,
    controlSocket: controlSocketPath(parsed.dataDir, parsed.controlSocket, place.baseDir),
    controlGroup: parsed.controlGroup,
    keyFile: parsed.keyFile ? absolute(parsed.keyFile) : usualSecret("vault.key", secrets),
    listen,
    publicUrl: new URL(parsed.publicUrl ?? `http://${reachableHost(listen.host)}:${listen.port}`),
    allowedHosts: parsed.allowedHosts,
    allowedOrigins: parsed.allowedOrigins,
    trustProxy: parsed.trustProxy,
    requestReader: parsed.requestReader,
    admin: parsed.admin,
    allowPrivate: parsed.allowPrivate,
    ports: parsed.ports,
    isolation: parsed.isolation,
    engine: parsed.engine,
    kubernetes,
    limits: resolveLimits(parsed.limits),
    sessionTtlMs: parsed.sessionTtl,
    resumeWindowMs: parsed.resumeWindow,
    eventLog: parsed.eventLog,
    stopTimeoutMs: parsed.stopTimeout,
    startTimeoutMs: parsed.startTimeout,
    drainTimeoutMs: parsed.drainTimeout,
    idleTimeoutMs: parsed.idleTimeout,
    selfService: parsed.selfService,
    pages: parsed.pages === true ? { logs: false } : parsed.pages,
    log: parsed.log,
    metrics: parsed.metrics,
    jwt: { issuers: (parsed.jwt?.issuers ?? []).map((one) => resolveIssuer(one, absolute)) },
    providers: resolveProviders(parsed.providers, secrets),
    notices: parsed.notices.map((notice) => resolveNotice(notice, absolute)),
    uids: parsed.uids,
    defaultServer:
      parsed.defaultServer === undefined
        ? impliedServer(Object.keys(enabled))
        : parsed.defaultServer,
    servers: enabled,
    environment: resolved(Object.entries(environment)),
    ownApp: null,
    disabled: resolved(switched(parsed, "off")),
    warnings: oddities(parsed).map(formatProblem),
  };
}

type Named<T> = readonly (readonly [name: string, value: T])[];

const switched = ({ servers }: ParsedConfig, how: "on" | "off"): Named<ParsedServer> =>
  Object.entries(servers).filter(([, { disabled }]) => disabled === (how === "off"));

function resolveLimits(limits: ParsedConfig["limits"]): Config["limits"] {
  return {
    children: limits.children,
    memoryBytes: limits.memory,
    spawnConcurrency: limits.spawnConcurrency,
    streamsPerUser: limits.streamsPerUser,
    sessionsPerUser: limits.sessionsPerUser,
    childrenPerUser: limits.childrenPerUser,
    bodyBytes: limits.bodyBytes,
    unreadBytes: limits.unread,
    unreadTotalBytes: limits.unreadTotal,
  };
}

export type ParsedRemote = Extract<ParsedServer, { url: string }>;
type ParsedBuiltin = Extract<ParsedServer, { builtin: string }>;

const resolveServers = (
  servers: Named<ParsedServer>,
  config: ForAllServers,
  place: SecretPlace,
): Record<string, ServerDef> =>
  Object.fromEntries(
    servers.map(([name, server]) => [name, resolveServer(name, server, config, place)]),
  );

/** What a server has from the config where it says nothing itself. */
export type ForAllServers = Pick<
  ParsedConfig,
  "idleTimeout" | "startTimeout" | "drainTimeout" | "isolation" | "engine"
> &
  Pick<Config, "kubernetes">;

export const resolveServer = (
  name: string,
  server: ParsedServer,
  config: ForAllServers,
  place: SecretPlace,
): ServerDef =>
  "builtin" in server
    ? resolveBuiltin(name, server, config, place)
    : resolveOther(name, server, config, place.baseDir);

function resolveOther(
  name: string,
  server: Exclude<ParsedServer, ParsedBuiltin>,
  config: ForAllServers,
  baseDir: string,
): ServerDef {
  const { stateful, overlap, resend, routes } = server;
  const common = {
    name,
    title: name,
    tokensFrom:
      server.provider === undefined
        ? null
        : { provider: server.provider, grant: server.grant ?? ("user" as const) },
    idleTimeoutMs: server.idleTimeout ?? config.idleTimeout,
    startTimeoutMs: server.startTimeout ?? config.startTimeout,
    drainTimeoutMs: server.drainTimeout ?? config.drainTimeout,
    stateful,
    overlap,
    resend,
    routes,
    // Of a stateful child nothing may be told that it has not said itself.
    manifest: server.manifest && !stateful,
    sharing: server.sharing ?? ("capabilities" as const),
  };
  if (!("command" in server)) {
    const url = "url" in server ? server.url : server.serverUrl;
    const transport = server.type ?? server.transport ?? impliedTransport(url);
    return { kind: "remote", ...common, transport, url, headers: server.headers };
  }
  return resolveProgram(server, common, config, baseDir);
}

type ParsedProgram = Extract<ParsedServer, { command: string }>;

function resolveProgram(
  server: ParsedProgram,
  common: Omit<ServerDef, "kind" | "transport">,
  config: ForAllServers,
  baseDir: string,
): ChildServer {
  const { command, args, env, tokenEnv, tokenFile, network, reach, limits, paths } = server;
  const { engine = config.engine } = server;
  const pod =
    engine === "kubernetes" && config.kubernetes !== null
      ? podRecipe(server, config.kubernetes)
      : undefined;
  const transport = server.type ?? server.transport ?? "stdio";
  const absolute = (file: string): string => path.resolve(baseDir, file);
  return {
    kind: "child",
    ...common,
    ...(pod !== undefined && { pod }),
    // Two pods cannot write to one volume.
    overlap: common.overlap && pod?.home == null,
    transport,
    command,
    args,
    cwd: absolute(server.cwd ?? "."),
    env,
    path: server.path ?? { stdio: "", sse: "/sse", http: "/mcp" }[transport],
    tokenEnv,
    tokenFile,
    isolation: server.isolation ?? (pod === undefined ? config.isolation : "auto"),
    network,
    reach,
    paths: { read: paths.read.map(absolute), write: paths.write.map(absolute) },
    limits: { memoryBytes: limits.memory, pids: limits.pids, cpu: limits.cpu },
  };
}

/** It is always awake, and what it has to say is the same for all: most of what servers are told does not concern it. */
function resolveBuiltin(
  name: string,
  { builtin, baseUrl, appId, appSecretFile, sessionConfig }: ParsedBuiltin,
  config: ForAllServers,
  place: SecretPlace,
): BuiltinServer {
  return {
    kind: "builtin",
    name,
    title: name,
    transport: "builtin",
    builtin,
    baseUrl,
    app:
      appId === undefined
        ? null
        : { id: appId, secretFile: secretFile(name, appSecretFile, place) },
    sessionConfig,
    tokensFrom: null,
    idleTimeoutMs: config.idleTimeout,
    startTimeoutMs: config.startTimeout,
    drainTimeoutMs: config.drainTimeout,
    stateful: false,
    overlap: true,
    resend: "reads",
    routes: [],
    manifest: false,
    sharing: "capabilities",
  };
}

function impliedTransport(url: string): "sse" | "http" {
  return /\/sse\/?$/.test(url.replace(/[?#].*/, "")) ? "sse" : "http";
}

/** A wildcard is where to listen, not where to call. */
function reachableHost(host: string): string {
  if (/^[0:.]*$/.test(host)) return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

/** Where a secret lies that no key names the file of: as a credential of systemd, or in the data folder. */
function usualSecret(name: string, { dataDir, env }: Omit<SecretPlace, "baseDir">): string {
  const credentials = env["CREDENTIALS_DIRECTORY"];
  const credential =
    credentials === undefined || credentials === "" ? undefined : path.join(credentials, name);
  return credential !== undefined && existsSync(credential) ? credential : path.join(dataDir, name);
}

type SecretPlace = Pick<Place, "baseDir" | "env"> & { dataDir: string };

/** Where the secret of what has this name lies. */
const secretFile = (name: string, file: string | undefined, place: SecretPlace): string =>
  file === undefined ? usualSecret(`${name}.secret`, place) : path.resolve(place.baseDir, file);

const resolveProviders = (
  providers: ParsedConfig["providers"],
  place: SecretPlace,
): Config["providers"] =>
  Object.fromEntries(
    Object.entries(providers).map(([name, provider]) => [
      name,
      resolveProvider(name, provider, place),
    ]),
  );

function resolveProvider(
  name: string,
  { clientSecretFile: file, defaultExpiresIn, ...provider }: ParsedProvider,
  place: SecretPlace,
): ProviderDef {
  const clientSecretFile = secretFile(name, file, place);
  return { ...provider, name, clientSecretFile, defaultExpiresInMs: defaultExpiresIn };
}

function resolveNotice(notice: ParsedNotice, absolute: (file: string) => string): ParsedNotice {
  const urlFile = absolute(notice.urlFile);
  if (notice.kind !== "feishu" || notice.secretFile === undefined) return { ...notice, urlFile };
  return { ...notice, urlFile, secretFile: absolute(notice.secretFile) };
}

/** Nothing to refuse the file for. */
const oddities = (parsed: ParsedConfig): Problem[] => [
  ...passedOver(parsed.servers),
  ...shortSecrets(parsed),
  ...defaultFromElsewhere(parsed),
];

/** The control API may have that server, or is to have it. */
const defaultFromElsewhere = ({ defaultServer, servers }: ParsedConfig): Problem[] =>
  defaultServer == null || Object.hasOwn(servers, defaultServer)
    ? []
    : [
        {
          path: ["defaultServer"],
          message:
            "is none of the servers here; while there is none of that name, URLs without a server lead nowhere",
        },
      ];

const shortSecrets = ({ jwt }: ParsedConfig): Problem[] =>
  (jwt?.issuers ?? []).flatMap(({ allowShortSecret }, index) =>
    allowShortSecret
      ? [
          {
            path: ["jwt", "issuers", index, "allowShortSecret"],
            message: SHORT_SECRET,
          },
        ]
      : [],
  );
