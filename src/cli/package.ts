import type { Command } from "commander";
import { SupervisorError } from "../errors.ts";
import type { Install, PackageSpec } from "../installs/installs.ts";
import { answer, globalsOf, instant } from "./output.ts";
import { besideMoving, whileWaiting } from "./progress.ts";
import { addServerCommands } from "./server.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { viewHere } from "./view.ts";

interface InstallFlags {
  npm?: string;
  pip?: string;
  bin?: string;
  allowScripts?: boolean;
}

const loadInstalls = async (command: Command) => {
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

async function installPackage(
  server: string,
  flags: InstallFlags,
  command: Command,
): Promise<void> {
  const { parseSpec, installServer, dataDir } = await loadInstalls(command);
  const { requireSlug } = await import("../platform/slug.ts");
  requireSlug("server", server);
  const isQuiet = globalsOf(command).json;
  const waiting = {
    doing: `fetching ${server}`,
    afterInterrupt: `what was fetched is no version yet; the same command begins anew`,
  };
  const work = installServer(dataDir, server, parseSpec(...sourceOf(flags)), {
    bin: flags.bin,
    allowScripts: flags.allowScripts ?? false,
    onOutput: (text) => isQuiet || besideMoving(text),
  });
  const done = await whileWaiting(command, waiting, work);
  const entry = { [server]: entryOf(done.install) };
  const { package: name, version, folder } = done.install;
  answer(command, { ...done.install, isNew: done.isNew, config: entry }, [
    `${name} ${version} is installed${done.isNew ? "" : " already"} in ${folder}.`,
    "",
    'This belongs into "servers" of the config; `mcp-supervisor reload` takes it over:',
    ...JSON.stringify(entry, null, 2).split("\n").slice(1, -1),
  ]);
}

const COLUMNS: readonly Column<Install>[] = [
  { title: "SERVER", cell: ({ server }) => server },
  { title: "FROM", cell: ({ from }) => from, leaves: 3 },
  { title: "PACKAGE", cell: (row) => row.package },
  { title: "VERSION", cell: ({ version }) => version },
  { title: "INSTALLED", cell: ({ installedAt }) => instant(installedAt), leaves: 2 },
  { title: "IN", cell: ({ folder }) => folder, leaves: 1 },
];

async function listPackages(_options: object, command: Command): Promise<void> {
  const { listInstalls, dataDir } = await loadInstalls(command);
  const servers = listInstalls(dataDir);
  const lines =
    servers.length === 0
      ? ["Nothing is installed; `mcp-supervisor package install NAME` fetches a server."]
      : table(COLUMNS, servers, viewHere());
  answer(command, { servers }, lines);
}

async function uninstallPackage(server: string, _options: object, command: Command): Promise<void> {
  const { removeInstalls, dataDir } = await loadInstalls(command);
  const { requireSlug } = await import("../platform/slug.ts");
  requireSlug("server", server);
  const removed = removeInstalls(dataDir, server);
  const lines = removed.map(({ folder }) => `removed ${folder}`);
  answer(command, { removed }, lines.length === 0 ? [`nothing is installed for ${server}`] : lines);
}

/** The commands of a group under which they go by these names. */
interface Group {
  name: "package" | "server";
  description: string;
  run: <A extends unknown[]>(verb: string, action: Action<A>) => Action<A>;
}

type Action<A extends unknown[]> = (...args: [...A, Command]) => Promise<void>;

/** What `server install` and `server uninstall` were called before; they go with the next version. */
const formerly =
  <A extends unknown[]>(verb: string, action: Action<A>): Action<A> =>
  async (...args) => {
    const command = args.at(-1) as Command;
    // A program that reads stderr as JSON finds nothing else there.
    if (!globalsOf(command).json)
      process.stderr.write(
        `mcp-supervisor: \`server ${verb}\` is now \`package ${verb}\`; the old name works in this version only\n`,
      );
    await action(...args);
  };

const GROUPS: readonly Group[] = [
  {
    name: "package",
    description: "fetch packages of MCP servers once, for all users; needs no daemon",
    run: (_verb, action) => action,
  },
  {
    name: "server",
    description: "add, list, show, change, enable, disable, remove, import servers",
    run: formerly,
  },
];

function addInstall(group: Command, { name, run }: Group): void {
  group
    .command("install")
    .description("fetch a package into a read-only folder that all users' children share")
    .argument("<name>", "the name of the server in the config")
    .option("--npm <package@version>", "a package from npm")
    .option("--pip <package==version>", "a package from PyPI (by uv, or by python3 with venv)")
    .option("--bin <program>", "which program of the package is the server")
    .option("--allow-scripts", "let packages run code of their own while they are installed")
    .addHelpText(
      "after",
      `\nExample:\n  mcp-supervisor ${name} install everything --npm @modelcontextprotocol/server-everything@2026.8.31`,
    )
    .action(run("install", installPackage));
}

function addList(group: Command, { name }: Group): void {
  group
    .command("list")
    .description("show what is installed")
    .addHelpText("after", `\nExample:\n  mcp-supervisor ${name} list`)
    .action(listPackages);
}

function addUninstall(group: Command, { name, run }: Group): void {
  group
    .command("uninstall")
    .description("remove every installed version of a server")
    .argument("<name>", "the name of the server")
    .addHelpText("after", `\nExample:\n  mcp-supervisor ${name} uninstall everything`)
    .action(run("uninstall", uninstallPackage));
}

/** `server` has servers that the daemon serves, and the former names of two commands of `package`. */
export function addPackageCommands(program: Command): void {
  for (const group of GROUPS) {
    const command = program.command(group.name).description(group.description);
    if (group.name === "server") addServerCommands(command);
    else addList(command, group);
    addInstall(command, group);
    addUninstall(command, group);
  }
}
