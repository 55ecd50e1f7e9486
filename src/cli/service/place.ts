import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { loadConfig, parseConfig } from "../../config/config.ts";
import type { Config } from "../../config/config.ts";
import { SupervisorError } from "../../errors.ts";
import { canNotifyItself } from "../../systemd/notify.ts";
import { PACKAGE_FOLDER } from "../../platform/package-folder.ts";
import type { UnitFacts } from "../../systemd/unit.ts";

export const SETTINGS_FOLDER = "/etc/mcp-supervisor";
export const DATA_FOLDER = "/var/lib/mcp-supervisor";
export const UNIT_FOLDER = "/etc/systemd/system";
const CONFIG_FILE = join(SETTINGS_FOLDER, "supervisor.config.json");
const KEY_FILE = join(SETTINGS_FOLDER, "vault.key");
/** Who runs the service where nobody else is named. */
export const DEFAULT_USER = "mcp-supervisor";

/** Where the service lies, and how it is to run. */
export interface ServicePlace {
  node: string;
  program: string;
  configFile: string;
  config: Config;
  /** What goes into a config file that is not there yet. */
  newConfig: string | undefined;
  unit: UnitFacts;
}

/** The config for a first start: a server that runs without any preparation, to be replaced by one's own. */
function firstConfig(node: string): object {
  const everything = createRequire(import.meta.url).resolve(
    "@modelcontextprotocol/server-everything/package.json",
  );
  const cwd = dirname(everything);
  return {
    dataDir: DATA_FOLDER,
    listen: { host: "127.0.0.1", port: 8040 },
    defaultServer: "everything",
    // A sandbox shows a server its own folder, wherever that is.
    servers: { everything: { command: node, args: ["./dist/index.js", "stdio"], cwd } },
  };
}

/** Paths that the daemon or a child of every user must reach. */
function neededPaths(config: Config, more: readonly string[]): string[] {
  const ofServers = Object.values(config.servers).flatMap((server) =>
    server.kind === "child"
      ? [server.command, server.cwd, ...server.args, ...server.paths.read, ...server.paths.write]
      : [],
  );
  return [...more, config.dataDir, config.keyFile, ...ofServers];
}

const isInHome = (path: string) => /^\/(?:home|root|run\/user)(?:\/|$)/.test(path);

function requireAddress({ host, port }: Config["listen"]): void {
  if (port === 0)
    throw new SupervisorError("CONFIG_INVALID", "listen.port is 0; a service needs a fixed port");
  if (host !== "localhost" && !/^[\d.]+$|:/.test(host))
    throw new SupervisorError(
      "CONFIG_INVALID",
      "listen.host is a name; systemd opens the listener, and needs an address",
    );
}

/**
 * Works out the service from the config, which `/etc/mcp-supervisor` gets a first one of where there
 * is none. Changes nothing. Rejects as `loadConfig` does, with CONFIG_INVALID for a listener that
 * systemd cannot open, and with USAGE for an account that is not to be used.
 */
export async function findPlace(options: {
  config: string | undefined;
  user: string | undefined;
}): Promise<ServicePlace> {
  const { user = DEFAULT_USER } = options;
  if (!/^[a-z_][a-z0-9_-]{0,30}$/.test(user) || user === "root")
    throw new SupervisorError(
      "USAGE",
      user === "root"
        ? "the daemon needs no root; --user names an ordinary account, which is made if it is not there"
        : "--user must be the name of an account",
    );
  const node = process.execPath;
  const program = join(PACKAGE_FOLDER, "bin", "mcp-supervisor.js");
  const configFile = options.config ?? CONFIG_FILE;
  const isFirst = configFile === CONFIG_FILE && !existsSync(configFile);
  const first = firstConfig(node);
  // A credential of the process that asks is not the service's.
  const config = isFirst
    ? parseConfig(first, SETTINGS_FOLDER, { env: {} })
    : loadConfig({ path: configFile, env: {} });
  requireAddress(config.listen);
  const exec = [
    node,
    "--max-semi-space-size=2",
    program,
    "serve",
    "--config",
    config.path ?? configFile,
  ];
  return {
    node,
    program,
    configFile: config.path ?? configFile,
    config,
    newConfig: isFirst ? `${JSON.stringify(first, null, 2)}\n` : undefined,
    unit: {
      user,
      exec,
      dataDir: config.dataDir,
      controlSocket: config.controlSocket,
      controlGroup: config.controlGroup,
      // A key file that the config names is used where it is.
      keyFile: config.keyFile === join(config.dataDir, "vault.key") ? KEY_FILE : null,
      listen: config.listen,
      notifyAccess: (await canNotifyItself()) ? "main" : "all",
      stopTimeoutMs: config.stopTimeoutMs,
      needsHomes: neededPaths(config, [node, program, configFile]).some(isInHome),
    },
  };
}
