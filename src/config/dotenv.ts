import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseEnv } from "node:util";
import { SupervisorError } from "../errors.ts";

/** What the environment, and a `.env` below it, may say; all else in such a file is for other programs. */
const VARIABLES = [
  "MCP_URL",
  "MCP_URLS",
  "MCP_SUPERVISOR_DATA",
  "JWT_SECRET",
  "JWT_ALGORITHM",
  "JWT_ALLOW_SHORT_SECRET",
  "PORT",
  "DEBUG",
  "LOG_LEVEL",
  "ALLOWED_HOSTS",
  "FEISHU_APP_ID",
  "FEISHU_APP_SECRET",
] as const;

export type Variable = (typeof VARIABLES)[number];

/** The variables that are set and not empty. */
export type Variables = Partial<Record<Variable, string>>;

const SECRETS = ["JWT_SECRET", "FEISHU_APP_SECRET"] as const;

export const dotenvIn = (folder: string): string => path.join(folder, ".env");

/** Takes the secrets out of the environment: children are started from this process, and whoever reads its environment may be anybody. */
export function dropSecrets(env: NodeJS.ProcessEnv): void {
  for (const name of SECRETS) delete env[name];
}

/** What is set in such an environment. */
export const variablesIn = (all: Readonly<NodeJS.ProcessEnv>): Variables =>
  Object.fromEntries(
    VARIABLES.map((name) => [name, all[name]]).filter(([, value]) => value?.trim()),
  );

/**
 * What the folder's `.env` sets; nothing where there is none that this account may read. CONFIG_UNREADABLE
 * for one that holds a secret and is open to other accounts.
 */
export function readDotenv(folder: string): Variables {
  const file = dotenvIn(folder);
  const handle = openQuietly(file);
  if (handle === undefined) return {};
  try {
    const status = fstatSync(handle);
    // Python's own environments have that name too, and are folders.
    if (!status.isFile()) return {};
    const found = variablesIn(parseEnv(readFileSync(handle, "utf8").replace(/^\uFEFF/, "")));
    const secret = SECRETS.find((name) => found[name] !== undefined);
    if (secret !== undefined && (status.mode & 0o077) !== 0)
      throw new SupervisorError(
        "CONFIG_UNREADABLE",
        `${file} holds ${secret} and is open to other accounts: chmod 600 '${file}'`,
      );
    return found;
  } finally {
    closeSync(handle);
  }
}

function openQuietly(file: string): number | undefined {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}
