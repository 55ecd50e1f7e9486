import type { Command } from "commander";
import { SupervisorError } from "../errors.ts";
import type { Install, PackageSpec } from "../installs/installs.ts";
import { answer, globalsOf, instant, table } from "./output.ts";

interface InstallFlags {
  npm?: string;
  pip?: string;
  bin?: string;
  allowScripts?: boolean;
}

const load = async (command: Command) => {
  const [{ loadConfig }, installs] = await Promise.all([
    import("../config/config.ts"),
    import("../installs/installs.ts"),
  ]);
  return { ...installs, dataDir: loadConfig({ path: globalsOf(command).config }).dataDir };
};

/** What goes into the config under the server's name. */
const entryOf = ({ command, args }: Install): object =>
  args.length === 0 ? { command } : { command, args };

function sourceOf({ npm, pip }: InstallFlags): [PackageSpec["from"], string] {
  if (npm !== undefined && pip === undefined) return ["npm", npm];
  if (pip !== undefined && npm === undefined) return ["pip", pip];
  throw new SupervisorError(
    "USAGE",
    "name one package: --npm PACKAGE@VERSION or --pip PACKAGE==VERSION",
  );
}

async function install(server: string, flags: InstallFlags, command: Command): Promise<void> {
  const { parseSpec, installServer, dataDir } = await load(command);
  const { requireSlug } = await import("../platform/slug.ts");
  requireSlug("server", server);
  const isQuiet = globalsOf(command).json;
  const done = await installServer(dataDir, server, parseSpec(...sourceOf(flags)), {
    bin: flags.bin,
    allowScripts: flags.allowScripts ?? false,
    onOutput: (text) => isQuiet || process.stderr.write(text),
  });
  const entry = { [server]: entryOf(done.install) };
  const { package: name, version, folder } = done.install;
  answer(command, { ...done.install, isNew: done.isNew, config: entry }, [
    `${name} ${version} is installed${done.isNew ? "" : " already"} in ${folder}.`,
    "",
    'This belongs into "servers" of the config; `mcp-supervisor reload` takes it over:',
    ...JSON.stringify(entry, null, 2).split("\n").slice(1, -1),
  ]);
}

async function list(_options: object, command: Command): Promise<void> {
  const { listInstalls, dataDir } = await load(command);
  const servers = listInstalls(dataDir);
  const rows = servers.map(({ server, from, package: name, version, installedAt, folder }) => [
    server,
    from,
    name,
    version,
    instant(installedAt),
    folder,
  ]);
  const lines =
    rows.length === 0
      ? ["Nothing is installed; `mcp-supervisor server install NAME` fetches a server."]
      : table(["SERVER", "FROM", "PACKAGE", "VERSION", "INSTALLED", "IN"], rows);
  answer(command, { servers }, lines);
}

async function uninstall(server: string, _options: object, command: Command): Promise<void> {
  const { removeInstalls, dataDir } = await load(command);
  const { requireSlug } = await import("../platform/slug.ts");
  requireSlug("server", server);
  const removed = removeInstalls(dataDir, server);
  const lines = removed.map(({ folder }) => `removed ${folder}`);
  answer(command, { removed }, lines.length === 0 ? [`nothing is installed for ${server}`] : lines);
}

export function addServerCommands(program: Command): void {
  const server = program
    .command("server")
    .description("fetch MCP servers once, for all users; needs no daemon");
  server
    .command("install")
    .description("fetch a package into a read-only folder that all users' children share")
    .argument("<name>", "the name of the server in the config")
    .option("--npm <package@version>", "a package from npm")
    .option("--pip <package==version>", "a package from PyPI (by uv, or by python3 with venv)")
    .option("--bin <program>", "which program of the package is the server")
    .option("--allow-scripts", "let packages run code of their own while they are installed")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor server install everything --npm @modelcontextprotocol/server-everything@2026.8.31",
    )
    .action(install);
  server
    .command("list")
    .description("show what is installed")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server list")
    .action(list);
  server
    .command("uninstall")
    .description("remove every installed version of a server")
    .argument("<name>", "the name of the server")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server uninstall everything")
    .action(uninstall);
}
