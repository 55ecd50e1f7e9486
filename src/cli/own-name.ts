import { existsSync, realpathSync } from "node:fs";
import { delimiter, join, relative, resolve } from "node:path";

/** The path as one would type it here. */
function near(path: string): string {
  const way = relative(process.cwd(), path);
  // A service runs in the root folder, and whoever reads its journal does not.
  const short = way.startsWith("..") || process.cwd() === "/" ? path : way;
  return /^[\w./@:+-]+$/.test(short) ? short : `'${short.replaceAll("'", String.raw`'\''`)}'`;
}

/** What a config's place has to be for nobody to have to name it. */
const MACHINE_CONFIG = "/etc/mcp-supervisor/supervisor.config.json";
const NAME = "mcp-supervisor";
/** Where a service, which is given no such folders to look in, has its program for people. */
const USUAL = ["/usr/local/bin", "/usr/bin"];

/** Whether a shell finds this very program under its name. */
function isInstalled(script: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...USUAL];
  const first = folders.map((folder) => join(folder, NAME)).find((file) => existsSync(file));
  return first !== undefined && existsSync(script) && realpathSync(first) === realpathSync(script);
}

/**
 * How this program is called, so that a printed command works when pasted: by its name where a shell
 * would find it, else by its files, and with the config where that was not found by itself.
 */
export function ownName(config: string | undefined): string {
  const [program = "", script = ""] = process.argv;
  // A checkout brings its own Node, because the system's may be too old for it.
  const node = program.includes("/node_modules/") ? near(program) : "node";
  const name = isInstalled(script) ? NAME : `${node} ${near(script)}`;
  const named = config ?? process.env["MCP_SUPERVISOR_CONFIG"];
  if (named === MACHINE_CONFIG && name === NAME) return name;
  return named === undefined || named === "" ? name : `${name} --config ${near(resolve(named))}`;
}
