import path from "node:path";
import { SLUG_PATTERN } from "../platform/slug.ts";
import { transportNamed } from "./foreign.ts";
import { jwtProblems } from "./jwt-schema.ts";
import { entriesOf } from "./entries.ts";
import type { Entries } from "./entries.ts";
import { nearest } from "./nearest.ts";
import { clusterProblems, isInPods, podProblems } from "./pod-relations.ts";
import type { Problem } from "./problems.ts";
import { GRANTS_OF } from "./provider-schema.ts";
import { DEFAULT_TOKEN_ENV } from "./server-schema.ts";
import { TOKEN_FILE_ENV } from "./server-schema.ts";
import { hasPlaceholder } from "./template.ts";

/**
 * What is wrong between keys that are right by themselves. Reads the file as it is, not as parsed, so
 * that these problems are told together with those of the schema; what has the wrong type is the
 * schema's to tell and is passed over here.
 */
export function relationProblems(config: unknown, baseDir: string): Problem[] {
  const entries = entriesOf(config);
  return [
    ...socketProblems(entries, baseDir),
    ...defaultServerProblems(entries),
    ...portProblems(entries),
    ...uidProblems(entries),
    ...clusterProblems(entries),
    ...jwtProblems(entriesOf(entries["jwt"])),
    ...Object.entries(entriesOf(entries["servers"])).flatMap(([name, server]) =>
      serverProblems({ name, entry: entriesOf(server) }, entries, baseDir).map((problem) => ({
        ...problem,
        path: ["servers", name, ...problem.path],
      })),
    ),
  ];
}

/** What is wrong between the keys of one server, and between them and the config's, whose paths begin at `baseDir`. */
export const serverProblems = (
  { name, entry }: { name: string; entry: Entries },
  config: Entries,
  baseDir: string,
): Problem[] => [
  ...doubleProblems(entry),
  ...(isProgram(entry)
    ? [...childProblems(entry), ...podProblems({ name, entry }, config, baseDir)]
    : []),
  ...builtinProblems(entry),
  ...sourceProblems(entry, config),
];

/** A socket address holds 108 bytes with its final NUL; the kernel refuses more, Node cuts off in silence. */
const LONGEST_SOCKET_PATH = 107;

export function controlSocketPath(
  dataDir: string,
  controlSocket: string | null,
  baseDir: string,
): string {
  return controlSocket === null
    ? path.resolve(baseDir, dataDir, "control.sock")
    : path.resolve(baseDir, controlSocket);
}

function socketProblems(config: Entries, baseDir: string): Problem[] {
  const { dataDir = "./data", controlSocket = null } = config;
  if (typeof dataDir !== "string") return [];
  if (controlSocket !== null && typeof controlSocket !== "string") return [];
  const length = Buffer.byteLength(controlSocketPath(dataDir, controlSocket, baseDir));
  if (length <= LONGEST_SOCKET_PATH) return [];
  const message = `is ${length} bytes long as an absolute path, and a socket may have ${LONGEST_SOCKET_PATH}; set it to a short path such as "/run/mcp-supervisor/control.sock"`;
  return [{ path: ["controlSocket"], message }];
}

const USUAL_SERVER = "everything";

/** The server behind `/u/NAME/sse` where the file names none: the only one there is, or the usual one; null where there is no server. */
export function impliedServer(names: readonly string[]): string | null {
  if (names.length === 0) return null;
  return names.length === 1 ? names[0]! : USUAL_SERVER;
}

const isDisabled = (entry: unknown): boolean => entriesOf(entry)["disabled"] === true;

const noDefault = (message: string): Problem[] => [{ path: ["defaultServer"], message }];

function defaultServerProblems({ defaultServer, servers }: Entries): Problem[] {
  const all = Object.entries(entriesOf(servers));
  const names = all.filter(([, entry]) => !isDisabled(entry)).map(([name]) => name);
  const implied = impliedServer(names);
  if (defaultServer === undefined && all.length > 0) {
    if (implied === null) return noDefault("is missing, and every server is disabled");
    if (!names.includes(implied)) return noDefault("is missing, and there is not just one server");
  }
  if (typeof defaultServer !== "string") return [];
  if (names.includes(defaultServer)) return [];
  if (isDisabled(all.find(([name]) => name === defaultServer)?.[1]))
    return noDefault("names a server that is disabled");
  // It may be one that is not from this file; nearly the name of one that is, it is mistyped.
  const meant = nearest(defaultServer, names);
  return meant === undefined
    ? []
    : noDefault(`is not one of the servers, did you mean "${meant}"?`);
}

function portProblems(config: Entries): Problem[] {
  const { from = 42_000, to = 42_999, pin } = entriesOf(config["ports"]);
  const problems: Problem[] = [];
  if (typeof from === "number" && typeof to === "number" && from > to)
    problems.push({ path: ["ports", "to"], message: "must not be below ports.from" });

  const taken = new Map<unknown, string>([
    [entriesOf(config["listen"])["port"] ?? 8040, "listen"],
    [entriesOf(config["admin"])["port"], "admin"],
  ]);
  for (const [name, number] of Object.entries(entriesOf(pin))) {
    const refuse = (message: string): void =>
      void problems.push({ path: ["ports", "pin", name], message });
    const problem = pinProblem(name, config);
    if (problem !== undefined) refuse(problem);
    const owner = taken.get(number);
    if (owner !== undefined) refuse(`is the port of ${owner} already`);
    taken.set(number, "another pin");
  }
  return problems;
}

/** Accounts that belong to somebody on every machine: root and the system's, systemd's dynamic users, nobody and "none". */
const TAKEN_UIDS = [
  { from: 0, to: 999, whose: "the system's own" },
  { from: 61_184, to: 65_535, whose: "systemd's dynamic users and nobody" },
];
/** The kernel keeps 2^32-1 for "none"; some programs take the upper half for negative. */
const LARGEST_UID = 2 ** 31 - 1;

function uidProblems(config: Entries): Problem[] {
  const { from, to } = entriesOf(config["uids"]);
  if (typeof from !== "number" || typeof to !== "number") return [];
  if (from > to) return [{ path: ["uids", "to"], message: "must not be below uids.from" }];
  if (to > LARGEST_UID)
    return [{ path: ["uids", "to"], message: `must be at most ${LARGEST_UID}` }];
  return TAKEN_UIDS.filter((taken) => from <= taken.to && to >= taken.from).map((taken) => ({
    path: ["uids"],
    message: `overlaps ${taken.from} to ${taken.to}, which are ${taken.whose}`,
  }));
}

/** `user/server`. */
const PIN_NAME = new RegExp(`^${SLUG_PATTERN}/([^/]+)$`);

function pinProblem(name: string, config: Entries): string | undefined {
  const servers = entriesOf(config["servers"]);
  const [, server] = PIN_NAME.exec(name) ?? [];
  if (server === undefined) return 'must be named "user/server"';
  if (!Object.hasOwn(servers, server)) return "names a server that is not among the servers";
  const entry = entriesOf(servers[server]);
  if (isRemote(entry) || transportOf(entry) === "stdio") return "names a server that has no port";
  if (isInPods(entry, config)) return "names a server that runs in pods, which have no port here";
  const isolation = entry["isolation"] ?? config["isolation"] ?? "auto";
  return isolation === "auto" || isolation === "sandbox"
    ? pinInSandbox(server, isolation)
    : undefined;
}

/** A port on the machine is a door without a lock, which a sandbox is there to close; "auto" must not be weaker for it. */
function pinInSandbox(server: string, isolation: "auto" | "sandbox"): string {
  const level = `"isolation": "${isolation}"`;
  return `is a port of this machine, and with ${level} ${server} has none there: take the pin out, and let clients use the personal URL; or write "isolation": "user" or "none" for ${server}`;
}

const isRemote = ({ url, serverUrl }: Entries): boolean =>
  url !== undefined || serverUrl !== undefined;

const isProgram = (server: Entries): boolean =>
  !isRemote(server) && server["builtin"] === undefined;

/** As named, in our words; a child that names none speaks over stdio. */
function transportOf({ type, transport }: Entries): unknown {
  const named = type ?? transport ?? "stdio";
  return typeof named === "string" ? transportNamed(named) : named;
}

/** Two keys for one thing, which are to say the same. */
function doubleProblems({ url, serverUrl, type, transport }: Entries): Problem[] {
  const problems: Problem[] = [];
  if (url !== undefined && serverUrl !== undefined && url !== serverUrl)
    problems.push({ path: ["serverUrl"], message: 'says otherwise than "url"' });
  const isDouble = typeof type === "string" && typeof transport === "string";
  if (isDouble && transportNamed(type) !== transportNamed(transport))
    problems.push({ path: ["transport"], message: 'says otherwise than "type"' });
  return problems;
}

function builtinProblems({ builtin, appId, appSecretFile }: Entries): Problem[] {
  if (builtin === undefined || appSecretFile === undefined || appId !== undefined) return [];
  return [{ path: ["appSecretFile"], message: 'is of no use without an "appId"' }];
}

/** Where the server's tokens come from, and whether they get to it. */
function sourceProblems(server: Entries, config: Entries): Problem[] {
  const { provider: name, grant, headers } = server;
  if (name === undefined && grant !== undefined)
    return [{ path: ["grant"], message: 'is of no use without a "provider"' }];
  if (typeof name !== "string") return [];
  const providers = entriesOf(config["providers"]);
  if (!Object.hasOwn(providers, name)) {
    const meant = nearest(name, Object.keys(providers));
    const hint = meant === undefined ? "" : `, did you mean "${meant}"?`;
    return [{ path: ["provider"], message: `is not one of the providers${hint}` }];
  }
  const problems: Problem[] = [];
  const kind = String(entriesOf(providers[name])["kind"]);
  const known = GRANTS_OF[kind];
  if (typeof grant === "string" && known !== undefined && !known.includes(grant)) {
    const names = known.map((one) => `"${one}"`).join(", ");
    problems.push({ path: ["grant"], message: `is not among those of ${kind}: ${names}` });
  }
  const isSent = Object.values(entriesOf(headers)).some(
    (value) => typeof value === "string" && hasPlaceholder(value, "token"),
  );
  if (isRemote(server) && !isSent)
    problems.push({
      path: ["provider"],
      message: "is of no use: no header of this server holds ${token}",
    });
  return problems;
}

function childProblems(server: Entries): Problem[] {
  const { tokenEnv = DEFAULT_TOKEN_ENV } = server;
  const env = entriesOf(server["env"]);
  const problems: Problem[] = [];
  if (typeof tokenEnv === "string" && Object.hasOwn(env, tokenEnv)) {
    const message = "is where the user's own token goes (tokenEnv), so it cannot be one for all";
    problems.push({ path: ["env", tokenEnv], message });
  }
  if (server["tokenFile"] === true) {
    if (server["tokenEnv"] !== undefined)
      problems.push({ path: ["tokenEnv"], message: 'is of no use beside "tokenFile"' });
    if (Object.hasOwn(env, TOKEN_FILE_ENV)) {
      const message = "is where the file with the user's token is named (tokenFile)";
      problems.push({ path: ["env", TOKEN_FILE_ENV], message });
    }
  }
  if (transportOf(server) !== "stdio") return problems;

  for (const key of ["path", "routes"])
    if (server[key] !== undefined)
      problems.push({ path: [key], message: "is of no use to a stdio server" });
  const args = Object.entries(entriesOf(server["args"])).map(
    ([index, value]) => [["args", Number(index)], value] as const,
  );
  const variables = Object.entries(env).map(([name, value]) => [["env", name], value] as const);
  for (const [place, value] of [...args, ...variables])
    if (typeof value === "string" && hasPlaceholder(value, "port"))
      problems.push({ path: place, message: "holds ${port}, and a stdio server has none" });
  return problems;
}
