import { lstatSync, readFileSync } from "node:fs";
import path from "node:path";
import { dotenvIn } from "./dotenv.ts";
import { SupervisorError, isClosed } from "../errors.ts";

export const CONFIG_FILE = "supervisor.config.json";
const CONFIG_VARIABLE = "MCP_SUPERVISOR_CONFIG";

export interface Whereabouts {
  /** What `--config` said. */
  path?: string | undefined;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /**
   * For who serves, and who says what would be served: the `.env` of the working folder counts beside
   * a config file too. The secrets leave the environment.
   */
  isServed?: boolean;
}

/** What this account can see of a file: a folder above it may be closed. */
function look(file: string): "there" | "absent" | "hidden" {
  try {
    lstatSync(file);
    return "there";
  } catch (error) {
    return isClosed(error) ? "hidden" : "absent";
  }
}

const isHidden = (file: string): boolean => look(file) === "hidden";

/** The config file to read, absolute; undefined where none was named and none is in the usual places. */
export function findConfigFile({
  path: named,
  env = process.env,
  cwd = process.cwd(),
}: Whereabouts): string | undefined {
  // A file that was asked for is never passed over for another one.
  const asked = named ?? (env[CONFIG_VARIABLE] === "" ? undefined : env[CONFIG_VARIABLE]);
  if (asked !== undefined) return path.resolve(cwd, asked);
  const usual = usualFiles(cwd);
  return usual.find((file) => look(file) === "there") ?? usual.find(isHidden);
}

const usualFiles = (cwd: string): string[] => [
  path.resolve(cwd, CONFIG_FILE),
  path.join("/etc/mcp-supervisor", CONFIG_FILE),
];

/** Where there is neither a file nor what could stand in its place. */
export function noConfig({ cwd = process.cwd() }: Whereabouts): SupervisorError {
  return new SupervisorError("CONFIG_UNREADABLE", "there is no config file", {
    details: [
      `looked for ${usualFiles(cwd).join(" and ")}`,
      `--config FILE or $${CONFIG_VARIABLE} names another`,
      `without one, MCP_URL or MCP_URLS name servers that run elsewhere, in the environment or in ${dotenvIn(cwd)}`,
    ],
  });
}

/** The text of the file, or CONFIG_UNREADABLE with the reason. */
export function readConfigFile(file: string): string {
  try {
    return readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? "unknown reason";
    const said = isClosed(error)
      ? `this account may not read ${file}`
      : `${file}: cannot be read (${reason})`;
    throw new SupervisorError("CONFIG_UNREADABLE", said, { cause: error });
  }
}
