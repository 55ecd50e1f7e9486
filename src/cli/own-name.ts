import { basename, delimiter, dirname, relative, resolve } from "node:path";

/** The path as one would type it here. */
function near(path: string): string {
  const way = relative(process.cwd(), path);
  // A service runs in the root folder, and whoever reads its journal does not.
  const short = way.startsWith("..") || process.cwd() === "/" ? path : way;
  return /^[\w./@:+-]+$/.test(short) ? short : `'${short.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * How this program is called, so that a printed command works when pasted: by its name where a shell
 * would find it, else by its files, and with the config where that was not found by itself.
 */
export function ownName(config: string | undefined): string {
  const [program = "", script = ""] = process.argv;
  const isInPath = (process.env["PATH"] ?? "").split(delimiter).includes(dirname(script));
  // A checkout brings its own Node, because the system's may be too old for it.
  const node = program.includes("/node_modules/") ? near(program) : "node";
  const name =
    isInPath && basename(script) === "mcp-supervisor"
      ? "mcp-supervisor"
      : `${node} ${near(script)}`;
  const named = config ?? process.env["MCP_SUPERVISOR_CONFIG"];
  return named === undefined || named === "" ? name : `${name} --config ${near(resolve(named))}`;
}
