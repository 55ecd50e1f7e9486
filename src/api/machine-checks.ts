import { mayAccess } from "../platform/may-access.ts";
import { isLoopbackHost } from "../platform/loopback.ts";
import { readIssuers } from "../auth/jwt/trusted-issuer.ts";
import { readSecretFile } from "../platform/secret-file.ts";
import { constants, existsSync, lstatSync, statSync, statfsSync } from "node:fs";
import type { Stats } from "node:fs";
import { join } from "node:path";
import { childServers, isPodServer } from "../config/child-servers.ts";
import { fetchesAtStart } from "../config/fetching.ts";
import type { Config, JwtKeyDef } from "../config/config.ts";
import { podLevel } from "../engines/kubernetes/pod-level.ts";
import { sizeText } from "../platform/sizes.ts";
import { warningsOf } from "../config/warnings.ts";
import { isClosed, toSupervisorError } from "../errors.ts";
import type { Gap } from "./types.ts";
import { remedyFor } from "../engines/process/lacks.ts";
import { levelFor } from "../engines/process/levels.ts";
import type { Machine, ServerLevel } from "../engines/process/levels.ts";
import { DATABASE_FILE } from "../store/store.ts";
import { requireDurableFolder } from "../store/durability.ts";
import { readKeyFile } from "../vault/key-file.ts";
import { fail, modeText, ok, warn } from "./finding.ts";
import type { Finding } from "./finding.ts";

const OLDEST_NODE = [22, 14] as const;

export function nodeVersion(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isEnough = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  return isEnough
    ? ok("node", `Node ${version}`)
    : fail("node", `Node ${version} is too old`, `install Node ${OLDEST_NODE.join(".")} or newer`);
}

/** The file's status; undefined where it is not there, or not for this account to see. */
function look(file: string): Stats | undefined {
  try {
    return lstatSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (isClosed(error)) return undefined;
    throw error;
  }
}

/** No release is older than this: a clock before it was never set. */
const EARLIEST = Date.parse("2026-01-01T00:00:00Z");

export function clock({ dataDir }: Config, now = Date.now()): Finding {
  const time = new Date(now).toISOString();
  if (now < EARLIEST)
    return fail("clock", `the clock says ${time}`, "set the clock: keys and tokens expire by it");
  const written = look(join(dataDir, DATABASE_FILE))?.mtimeMs ?? 0;
  return written > now + 60_000
    ? warn(
        "clock",
        `the database was written at a later time than the clock's ${time}`,
        "look whether the clock is right",
      )
    : ok("clock", time);
}

const PROTECTS = {
  none: "nothing: children run as the daemon's account and can read each other's tokens",
  user: "an account of its own for each child: files, memory and environment of others; not the network of this machine",
  sandbox:
    "a sandbox for each child: files, processes, environment and network of others and of the host",
};

/** What one server gets, and what that stands for. */
export function level({ server, asked, level: given, missing, lacks }: ServerLevel): Finding {
  const check = `isolation of ${server}`;
  if (given === null)
    return fail(
      check,
      `"${asked}" cannot be had: ${missing.join("; ")}`,
      `${remedyFor(lacks) ?? "install what is missing"}, or write "isolation": "none"`,
    );
  const found = `${given} (config: ${asked}); what keeps others from it: ${PROTECTS[given]}`;
  return given === "none"
    ? warn(check, found, '"isolation": "auto" takes the strongest that this machine has')
    : ok(check, found);
}

/** The level of each server, as this account would get it now. */
export const levelsHere = (config: Config, machine: Machine): ServerLevel[] =>
  childServers(Object.values(config.servers)).map((def) => levelFor(machine, def));

export const gaps = (found: readonly Gap[]): Finding[] =>
  found.map((gap) => warn("confinement", gap.found, gap.next));

const AS_OTHER = "run this with sudo, or as the account of the daemon";

/** The key as this account finds it, where no daemon says which one it has. */
export function vaultKey({ keyFile, dataDir }: Pick<Config, "keyFile" | "dataDir">): Finding {
  try {
    const keys = readKeyFile(keyFile);
    if (keys !== undefined) {
      for (const { bytes } of keys) bytes.fill(0);
      return ok("key", `${keyFile}, mode ${modeText(statSync(keyFile).mode)}`);
    }
    return existsSync(join(dataDir, DATABASE_FILE))
      ? fail(
          "key",
          `${keyFile} is missing, and there is a database`,
          "put the key back from your backup",
        )
      : ok("key", `${keyFile} will be made at the first start`);
  } catch (error) {
    const { message, details, cause } = toSupervisorError(error);
    return fail("key", message, isClosed(cause) ? AS_OTHER : (details[0] ?? AS_OTHER));
  }
}

const NETWORK_FILE_SYSTEMS: Record<number, string> = {
  0x6969: "NFS",
  0xff534d42: "CIFS",
  0xfe534d42: "SMB",
};

export function database({ dataDir }: Config): Finding {
  if (!existsSync(dataDir)) return ok("database", `${dataDir} will be made at the first start`);
  const kind = NETWORK_FILE_SYSTEMS[statfsSync(dataDir).type];
  if (kind !== undefined)
    return fail(
      "database",
      `${dataDir} is on ${kind}`,
      "SQLite needs a local disk: change dataDir",
    );
  try {
    requireDurableFolder(dataDir);
    return ok(
      "database",
      "synchronous=FULL, read back after a write: acknowledged writes survive a power failure",
    );
  } catch (error) {
    const { message } = toSupervisorError(error);
    return mayAccess(dataDir, constants.X_OK)
      ? fail(
          "database",
          message,
          "run this as the account of the daemon, and look whether the disk has room",
        )
      : fail("database", `${dataDir} is closed to this account`, AS_OTHER);
  }
}

/** A file of the daemon, what its mode must not let others do, and the mode that it had. */
type Expected = readonly [string, number, string];

const filesOf = ({ dataDir, controlSocket, controlGroup }: Config): Expected[] => [
  [dataDir, 0o022, "700"],
  [join(dataDir, DATABASE_FILE), 0o077, "600"],
  [join(dataDir, `${DATABASE_FILE}-wal`), 0o077, "600"],
  [join(dataDir, "admin.token"), 0o077, "400"],
  [join(dataDir, "homes"), 0o022, "711"],
  // Whoever may write to it is an admin.
  controlGroup === null ? [controlSocket, 0o077, "600"] : [controlSocket, 0o007, "660"],
];

export function fileModes(config: Config): Finding {
  const { dataDir } = config;
  if (existsSync(dataDir) && !mayAccess(dataDir, constants.X_OK))
    return warn("files", `${dataDir} is closed to this account, as it should be`, AS_OTHER);
  for (const [file, forbidden, mode] of filesOf(config)) {
    const status = look(file);
    if (status === undefined || (status.mode & forbidden) === 0) continue;
    return fail(
      "files",
      `${file} has mode ${modeText(status.mode)}`,
      `look at who could have changed it, then run: chmod ${mode} '${file}'`,
    );
  }
  return ok("files", `${dataDir}: nothing in it is open to other accounts`);
}

/** Whether the text of a server's recipe may hold a secret of all users. */
const holdsHeaders = ({ servers }: Config): boolean =>
  Object.values(servers).some(
    (def) => def.kind === "remote" && Object.keys(def.headers).length > 0,
  );

/** Whoever can write the config says what the daemon runs. */
export function configMode(config: Config): Finding[] {
  const { path } = config;
  if (path === null) return [];
  const { mode } = statSync(path);
  const found = `${path} has mode ${modeText(mode)}`;
  const remedy = (bits: string): string => `chmod ${bits} '${path}'`;
  if ((mode & 0o002) !== 0)
    return [fail("config", `${found}: any account can change what the daemon runs`, remedy("o-w"))];
  if ((mode & 0o020) !== 0)
    return [warn("config", `${found}: its group can change what the daemon runs`, remedy("g-w"))];
  if ((mode & 0o004) !== 0 && holdsHeaders(config))
    return [
      warn("config", `${found}, and holds "headers": any account can read them`, remedy("o-r")),
    ];
  return [ok("config", found)];
}

/** What the config says and the servers' levels make of it. */
function oddities(config: Config, levels: readonly ServerLevel[]): Finding[] {
  const inSandbox = levels.filter((row) => row.level === "sandbox").map(({ server }) => server);
  return warningsOf(config, ({ name }) => inSandbox.includes(name)).map((warning) =>
    warn("config", warning, "change it there, then `mcp-supervisor reload`"),
  );
}

export function addresses({ listen, admin, publicUrl }: Config): Finding[] {
  const at = `${listen.host}:${listen.port}`;
  const isOpen = !isLoopbackHost(listen.host);
  const gateway =
    isOpen && publicUrl.protocol === "http:"
      ? warn(
          "gateway",
          `${at} is open to the network, and publicUrl is not https: access keys travel in the clear`,
          "put nginx or Caddy in front, and set publicUrl",
        )
      : ok("gateway", `${at}, known as ${publicUrl.href}`);
  if (admin === false) return [gateway];
  const where = `${admin.host}:${admin.port}`;
  return [
    gateway,
    isLoopbackHost(admin.host)
      ? ok("admin", `${where}, with the admin token`)
      : warn("admin", `${where} is open to the network, without TLS`, "bind it to 127.0.0.1"),
  ];
}

export function recipes({ servers }: Config): Finding[] {
  return Object.values(servers).flatMap((def) =>
    def.kind === "child" && fetchesAtStart(def)
      ? [
          warn(
            `recipe of ${def.name}`,
            isPodServer(def)
              ? `${def.command} fetches the server at each start of a pod`
              : `${def.command} fetches the server at each user's first start: up to 20 s, and a copy in each private home`,
            isPodServer(def)
              ? "put the server into its image"
              : "`mcp-supervisor package install` fetches it once for all",
          ),
        ]
      : [],
  );
}

/** What stands around the pods of a server, and what is left of them. */
export const pods = ({ servers }: Config): Finding[] =>
  Object.values(servers)
    .filter(isPodServer)
    .flatMap(({ name, pod }) => [
      ok(
        `isolation of ${name}`,
        `${podLevel({ pod })}; what keeps others from it: a container of its own on a node of the cluster`,
      ),
      ok(
        `home of ${name}`,
        pod.home === null
          ? '512M that go with each pod, as /tmp does; "home" in its "kubernetes" keeps it on a volume'
          : `a volume of ${sizeText(pod.home.sizeBytes)} for each user, which outlives pods`,
      ),
    ]);

/** The secrets of apps of servers that are part of the daemon, and of its clients at providers, which it reads when it uses them. */
export function secretFiles({ servers, providers }: Config): Finding[] {
  const apps = Object.values(servers).flatMap((def) => {
    if (def.kind !== "builtin" || def.app === null) return [];
    return [{ what: `app of ${def.name}`, id: def.app.id, file: def.app.secretFile }];
  });
  const clients = Object.values(providers).map(({ name, clientId: id, clientSecretFile: file }) => {
    return { what: `client at ${name}`, id, file };
  });
  return [...apps, ...clients].map(({ what, id, file }) => {
    try {
      readSecretFile(file, "its secret");
      return ok(what, `${id}, with its secret in ${file}`);
    } catch (error) {
      const remedy =
        "put it there, one line, mode 0400, for the daemon's account (a systemd credential is seen by the daemon alone)";
      return warn(what, toSupervisorError(error).message, remedy);
    }
  });
}

/** The keys of issuers of JWTs, without which the daemon does not start. */
export function jwtKeys({ jwt }: Config): Finding[] {
  return jwt.issuers.map((def) => {
    const what = `JWTs of ${def.name}`;
    const parts = { scrubber: { set: () => true }, log: { warn: () => undefined } };
    try {
      readIssuers([def], parts, () => undefined);
      return ok(what, `${def.algorithm}, by ${placeOf(def.key)}`);
    } catch (error) {
      const remedy = "put that right: the daemon does not start so";
      return fail(what, toSupervisorError(error).message, remedy);
    }
  });
}

function placeOf(key: JwtKeyDef): string {
  if (key.kind === "given") return "JWT_SECRET";
  return key.kind === "jwks" ? key.url : key.file;
}

/** What can be told of a config whatever account its daemon has, where its servers get these levels. */
export const ofConfig = (config: Config, levels: readonly ServerLevel[]): Finding[] => [
  database(config),
  ...ofConfigRead(config, levels),
];

/** As much of that as is found out without a write; the database of a daemon that runs was tried at its start. */
export const ofConfigRead = (config: Config, levels: readonly ServerLevel[]): Finding[] => [
  fileModes(config),
  ...configMode(config),
  ...oddities(config, levels),
  nodeVersion(),
  clock(config),
  ...addresses(config),
  ...recipes(config),
  ...pods(config),
  ...secretFiles(config),
  ...jwtKeys(config),
];
