import { existsSync, lstatSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { fetchesAtStart } from "../config/fetching.ts";
import type { Config } from "../config/config.ts";
import { toSupervisorError } from "../errors.ts";
import type { MachineReport } from "../control/shapes.ts";
import { bubblewrapGaps } from "../runners/bubblewrap-options.ts";
import { guardGaps } from "../runners/guard.ts";
import { chooseLevel, isRoot } from "../runners/levels.ts";
import type { Machine } from "../runners/levels.ts";
import { DATABASE_FILE } from "../store/store.ts";
import { requireDurableFolder } from "../store/durability.ts";
import { readKeyFile } from "../vault/key-file.ts";

/** What one check found. A warning is for the admin to weigh; a failure keeps something from working, or open. */
export interface Finding {
  check: string;
  outcome: "ok" | "warning" | "failed";
  found: string;
  /** What to do about it. */
  next: string | null;
}

const ok = (check: string, found: string): Finding => ({ check, outcome: "ok", found, next: null });
const warn = (check: string, found: string, next: string): Finding => ({
  check,
  outcome: "warning",
  found,
  next,
});
const fail = (check: string, found: string, next: string): Finding => ({
  check,
  outcome: "failed",
  found,
  next,
});

const OLDEST_NODE = [22, 14] as const;

export function nodeVersion(version = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isEnough = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  return isEnough
    ? ok("node", `Node ${version}`)
    : fail("node", `Node ${version} is too old`, `install Node ${OLDEST_NODE.join(".")} or newer`);
}

/** No release is older than this: a clock before it was never set. */
const EARLIEST = Date.parse("2026-01-01T00:00:00Z");

export function clock({ dataDir }: Config, now = Date.now()): Finding {
  const time = new Date(now).toISOString();
  if (now < EARLIEST)
    return fail("clock", `the clock says ${time}`, "set it; keys and tokens expire by it");
  const written = lstatSync(join(dataDir, DATABASE_FILE), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return written > now + 60_000
    ? warn(
        "clock",
        `the database was written at a later time than the clock's ${time}`,
        "is it set right?",
      )
    : ok("clock", time);
}

const PROTECTS = {
  none: "nothing: children run as the daemon's account and can read each other's tokens",
  user: "an account of its own for each child: files, memory and environment of others; not the network of this machine",
  sandbox:
    "a sandbox for each child: files, processes, environment and network of others and of the host",
};

/** The level of each server, as this account would get it now. */
export function isolation({ servers }: Config, machine: Machine): Finding[] {
  return Object.values(servers).flatMap((def) => {
    if (def.kind === "remote") return [];
    const check = `isolation of ${def.name}`;
    const { level, ...rest } = chooseLevel(machine, def);
    if (level === undefined) {
      const missing = "missing" in rest ? rest.missing.join("; ") : "";
      return [
        fail(
          check,
          `"${def.isolation}" cannot be had: ${missing}`,
          'install what is missing, or write "isolation": "none"',
        ),
      ];
    }
    const found = `${level} (config: ${def.isolation}); stands between it and others: ${PROTECTS[level]}`;
    return [
      level === "none"
        ? warn(check, found, '"isolation": "auto" takes the strongest that this machine has')
        : ok(check, found),
    ];
  });
}

/** What children lack of what stands around them elsewhere. */
export function gaps({ sandbox }: Machine): Finding[] {
  const areSandboxes = sandbox.length === 0;
  return [...guardGaps(), ...(areSandboxes ? bubblewrapGaps(isRoot()) : [])].map(
    ({ found, next }) => warn("confinement", found, next),
  );
}

export function vaultKey({ keyFile, dataDir }: Config): Finding {
  const isCredential = keyFile.startsWith(`${process.env["CREDENTIALS_DIRECTORY"] ?? "\0"}/`);
  const source = isCredential ? `systemd credential ${keyFile}` : keyFile;
  try {
    const key = readKeyFile(keyFile);
    if (key !== undefined) {
      key.fill(0);
      const mode = (lstatSync(keyFile).mode & 0o777).toString(8).padStart(4, "0");
      return ok("key", `${source}, mode ${mode}`);
    }
    return existsSync(join(dataDir, DATABASE_FILE))
      ? fail(
          "key",
          `${source} is missing, and there is a database`,
          "put the key back from your backup",
        )
      : ok("key", `${source} will be made at the first start`);
  } catch (error) {
    const { message, details } = toSupervisorError(error);
    return fail("key", message, details[0] ?? "run this as the account of the daemon");
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
    return fail(
      "database",
      toSupervisorError(error).message,
      "run this as the account of the daemon; is there room on the disk?",
    );
  }
}

/** Each file of the daemon with what it must not let others do. */
const FILES: readonly (readonly [string, number, string])[] = [
  ["", 0o022, "700"],
  [DATABASE_FILE, 0o077, "600"],
  [`${DATABASE_FILE}-wal`, 0o077, "600"],
  ["admin.token", 0o077, "400"],
  ["homes", 0o022, "711"],
];

export function fileModes({ dataDir }: Config): Finding {
  for (const [name, forbidden, mode] of FILES) {
    const file = join(dataDir, name);
    const status = lstatSync(file, { throwIfNoEntry: false });
    if (status === undefined || (status.mode & forbidden) === 0) continue;
    const found = (status.mode & 0o777).toString(8).padStart(4, "0");
    return fail(
      "files",
      `${file} has mode ${found}`,
      `who could have changed it? then: chmod ${mode} '${file}'`,
    );
  }
  return ok("files", `${dataDir}: nothing in it is open to other accounts`);
}

const isLoopback = (host: string): boolean => /^(127\.|localhost$|::1$)/.test(host);

export function addresses({ listen, admin, publicUrl }: Config): Finding[] {
  const at = `${listen.host}:${listen.port}`;
  const isOpen = !isLoopback(listen.host);
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
    isLoopback(admin.host)
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
            `${def.command} fetches the server at each user's first start: up to 20 s, and a copy in each private home`,
            "`mcp-supervisor server install` fetches it once for all",
          ),
        ]
      : [],
  );
}

/** What only the running daemon knows. */
export function running(report: MachineReport): Finding[] {
  const { pid, version, isolation: level, exposed, unkept } = report;
  return [
    ok("daemon", `${version} runs as pid ${pid}, isolation in force: ${level}`),
    ...exposed.map((server) =>
      warn(
        `listener of ${server}`,
        `children of ${server} listen on more than loopback`,
        "let them listen on 127.0.0.1",
      ),
    ),
    ...unkept.map(({ server, limits }) =>
      warn(
        `limits of ${server}`,
        `${limits.join(" and ")}: not in force`,
        "run the daemon as a systemd service with Delegate=cpu memory pids",
      ),
    ),
    ...(unkept.length === 0 ? [ok("limits", "all that the config names are in force")] : []),
  ];
}
