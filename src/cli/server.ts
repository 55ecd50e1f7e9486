import type { Command } from "commander";
import type { ImportedServers, RemovedServer, ShownServer } from "../api/types.ts";
import { SupervisorError, counted } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import type { ControlClient } from "./client.ts";
import { confirm } from "./confirm.ts";
import { answer, globalsOf } from "./output.ts";
import { ownName } from "./own-name.ts";
import { printable } from "./printable.ts";
import { readValues, textOf, withValueOptions } from "./server-values.ts";
import type { ValueOptions } from "./server-values.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { viewHere } from "./view.ts";

const CONFIGS = ["mcp", "configs"];

interface EntryOptions extends ValueOptions {
  name?: string;
  url?: string;
  type?: string;
  description?: string;
  cwd?: string;
  disabled?: boolean;
}

const whereOf = ({ url, serverUrl, command, builtin }: ShownServer): string =>
  [url, serverUrl, command, builtin].find((where) => typeof where === "string") ?? "-";

const COLUMNS: readonly Column<ShownServer>[] = [
  { title: "SERVER", cell: ({ slug }) => slug },
  { title: "NAME", cell: ({ name }) => printable(name), leaves: 2 },
  { title: "FROM", cell: ({ origin }) => origin, leaves: 1 },
  { title: "WHERE", cell: (server) => printable(whereOf(server)) },
  { title: "STATE", cell: ({ enabled }) => (enabled ? "enabled" : "disabled") },
];

/** All that there are, wherever from. */
export const serversOf = async (client: ControlClient): Promise<ShownServer[]> =>
  (await client.call<{ configs: ShownServer[] }>("GET", apiPath(CONFIGS))).configs;

/** The server of that slug, id or name. SERVER_NOT_FOUND. */
async function find(client: ControlClient, said: string): Promise<ShownServer> {
  const all = await serversOf(client);
  const found = (["slug", "id", "name"] as const)
    .map((key) => all.find((server) => server[key] === said))
    .find((server) => server !== undefined);
  if (found !== undefined) return found;
  const names = all.map(({ slug }) => slug).join(", ") || "none";
  throw new SupervisorError("SERVER_NOT_FOUND", `no such server; there are ${names}`);
}

/** What the options say, with keys as the config file has them. */
async function entryOf(
  command: Command,
  program: readonly string[],
  now: ShownServer | undefined,
): Promise<Record<string, unknown>> {
  const { name, url, type, description, cwd, disabled } = command.opts<EntryOptions>();
  const [file, ...args] = program;
  if (file !== undefined && url !== undefined)
    throw new SupervisorError("USAGE", "a server has a --url, or a program behind --, not both");
  const said = {
    name,
    url,
    type,
    description,
    cwd,
    enabled: disabled === true ? false : undefined,
  };
  return {
    ...Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined)),
    ...(file !== undefined && { command: file, args }),
    ...(await readValues(command, now)),
  };
}

const linesOf = (server: ShownServer): string[] =>
  Object.entries(server).map(
    ([key, value]) => `${`${key}:`.padEnd(13)} ${printable(shownValue(value))}`,
  );

/** Of headers and variables the names alone: a value is null here, because it is shown to nobody. */
function shownValue(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  const isSecret = !Array.isArray(value) && Object.values(value).includes(null);
  if (!isSecret) return JSON.stringify(value);
  return Object.keys(value)
    .map((name) => `${name} (set, not shown)`)
    .join(", ");
}

async function add(
  name: string,
  program: string[],
  _options: object,
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const body = { ...(await entryOf(command, program, undefined)), name };
  const server = await client.call<ShownServer>("POST", apiPath(CONFIGS), body);
  const own = ownName(globalsOf(command).config);
  answer(command, server, [
    `${printable(server.name)} is added as ${server.slug}.`,
    "",
    "Next:",
    `  ${own} user grant @all ${server.slug}   lets all users use it; NAME in place of @all one`,
  ]);
}

async function set(
  said: string,
  program: string[],
  _options: object,
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const now = await find(client, said);
  const body = await entryOf(command, program, now);
  if (Object.keys(body).length === 0)
    throw new SupervisorError("USAGE", "nothing was said that could be changed");
  await change(command, { client, now, body }, "is changed; what begins now has it");
}

interface Change {
  client: ControlClient;
  now: ShownServer;
  body: object;
}

async function change(
  command: Command,
  { client, now, body }: Change,
  became: string,
): Promise<void> {
  const server = await client.call<ShownServer>("PATCH", apiPath([...CONFIGS, now.id]), body);
  answer(command, server, [`${server.slug} ${became}.`]);
}

const turn =
  (enabled: boolean) =>
  async (said: string, _options: object, command: Command): Promise<void> => {
    const client = await clientFor(command);
    const now = await find(client, said);
    const became = enabled
      ? "is enabled"
      : "is disabled: to users it is not there, its children end";
    await change(command, { client, now, body: { enabled } }, became);
  };

async function list(_options: object, command: Command): Promise<void> {
  const configs = await serversOf(await clientFor(command));
  const lines = configs.length === 0 ? ["No servers."] : table(COLUMNS, configs, viewHere());
  answer(command, { configs }, lines);
}

async function show(said: string, _options: object, command: Command): Promise<void> {
  const server = await find(await clientFor(command), said);
  answer(command, server, linesOf(server));
}

async function remove(
  said: string,
  { keepData = false, yes = false }: { keepData?: boolean; yes?: boolean },
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const { id, slug } = await find(client, said);
  const what = keepData ? "tokens" : "tokens and private homes";
  if (!yes) await confirm(command, `Remove ${slug} with all users' ${what} of it?`);
  const path = apiPath([...CONFIGS, id], { keepData: keepData ? "true" : undefined });
  const done = await client.call<RemovedServer>("DELETE", path);
  answer(command, done, [
    `${slug} is removed; private homes: ${done.homes} deleted, ${done.keptHomes} kept.`,
  ]);
}

async function importFile(
  file: string,
  { replace = false }: { replace?: boolean },
  command: Command,
): Promise<void> {
  const { readForeignText } = await import("../config/foreign.ts");
  const { servers, problems } = readForeignText(textOf(file));
  if (problems.length > 0)
    throw new SupervisorError("CONFIG_INVALID", `${file}: ${counted(problems.length, "problem")}`, {
      details: problems,
    });
  const client = await clientFor(command);
  const path = apiPath(["mcp", "import"]);
  const done = await client.call<ImportedServers>("POST", path, { servers, replace });
  answer(
    command,
    done,
    Object.entries(done).flatMap(([what, slugs]: [string, string[]]) =>
      slugs.length === 0 ? [] : [`${what}: ${slugs.join(", ")}`],
    ),
  );
}

const withEntryOptions = (command: Command): Command =>
  withValueOptions(
    command
      .option("--url <url>", "where a server that runs elsewhere is reached")
      .option("--type <type>", "what it speaks: sse, http or, of a program, stdio")
      .option("--description <text>", "what people read about it")
      .option("--cwd <folder>", "where a program starts"),
  );

/** The commands of `server`. */
export function addServerCommands(server: Command): void {
  withEntryOptions(server.command("add <name> [program...]"))
    .description("add a server: a --url, or a program with its arguments behind --")
    .option("--disabled", "nobody can use it until it is enabled")
    .addHelpText(
      "after",
      [
        "",
        "Examples:",
        '  mcp-supervisor server add "Drawing Server" --url http://localhost:3001/sse --header Authorization',
        "  mcp-supervisor server add files -- npx -y @modelcontextprotocol/server-filesystem /srv",
      ].join("\n"),
    )
    .action(add);
  server
    .command("list")
    .description("list all servers, those of the config and of the environment too")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server list")
    .action(list);
  server
    .command("show <server>")
    .description("show a server; of headers and variables the names")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server show drawing-server")
    .action(show);
  withEntryOptions(server.command("set <server> [program...]"))
    .description("change what is named, and nothing else")
    .option("--name <name>", "another name; the slug stays")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor server set drawing-server --header Authorization --remove-header X-Old",
    )
    .action(set);
  server
    .command("enable <server>")
    .description("let users use a server again")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server enable drawing-server")
    .action(turn(true));
  server
    .command("disable <server>")
    .description("make a server unknown to users, and end its children")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server disable drawing-server")
    .action(turn(false));
  server
    .command("remove <server>")
    .description("end a server's sessions and children, delete tokens and private homes")
    .option("--yes", "do not ask, as a terminal is asked")
    .option("--keep-data", "keep the private homes, for a server that is added under this name")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server remove drawing-server --keep-data")
    .action(remove);
  server
    .command("import <file>")
    .description("add the servers in a file of Claude, Cursor or VS Code, all or none")
    .option("--replace", "change servers that are there and differ")
    .addHelpText("after", "\nExample:\n  mcp-supervisor server import .vscode/mcp.json")
    .action(importFile);
}
