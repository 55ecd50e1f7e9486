import type { Command } from "commander";
import type { ActedOn, LogRow, StatusRow } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { counted } from "../errors.ts";
import { answer, globalsOf, jsonLine, known, printable } from "./output.ts";

interface ServerOption {
  server?: string;
}

type Verb = "start" | "stop" | "restart";

function outcome(verb: Verb, row: StatusRow): string {
  const what = `${row.user}/${row.server}`;
  const place = known({ pid: row.pid, port: row.port });
  if (row.state === "draining")
    return `${what}: start ${row.generation} has ${counted(row.inFlight, "call")} to answer still${place === "" ? "" : ` (${place})`}.`;
  return verb === "stop"
    ? `${what} is stopped; the next message starts it again (user disable keeps it off).`
    : `${what} is ${row.state}${place === "" ? "" : ` (${place})`}.`;
}

async function act(
  verb: Verb,
  name: string,
  { server, graceful }: ServerOption & { graceful?: boolean },
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, verb], { server });
  const body = graceful === true ? { graceful } : undefined;
  const done = await client.call<ActedOn>("POST", path, body);
  const lines = done.instances.map((row) => outcome(verb, row));
  answer(command, done, lines.length > 0 ? lines : [`Nothing of ${done.user} was running.`]);
}

function logLine({ at, server, stream, text }: LogRow): string {
  return `${new Date(at).toISOString()} ${server} ${stream === "stderr" ? "err" : "out"} ${printable(text)}`;
}

async function logs(
  name: string,
  options: ServerOption & { follow?: boolean },
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const query = { server: options.server, follow: options.follow ? "1" : undefined };
  const path = apiPath(["users", name, "logs"], query);
  if (options.follow) {
    const isJson = globalsOf(command).json;
    await client.follow(path, (document) => {
      const row = document as LogRow;
      process.stdout.write(isJson ? jsonLine(row) : `${logLine(row)}\n`);
    });
    return;
  }
  const found = await client.call<{ logs: LogRow[] }>("GET", path);
  const lines = found.logs.map(logLine);
  answer(command, found, lines.length > 0 ? lines : ["No output kept."]);
}

const DESCRIPTIONS: Record<Verb, string> = {
  start: "start a user's instance and wait until it is ready (default: of the default server)",
  stop: "stop a user's instances; the next message starts them again",
  restart: "stop a user's instances and start them anew (default: all that run)",
};

export function addInstanceCommands(program: Command): void {
  program
    .command("logs <name>")
    .description("show the last output lines of a user's children")
    .option("--server <server>", "of this server only")
    .option("-f, --follow", "go on as lines come, until Ctrl-C")
    .addHelpText("after", "\nExample:\n  mcp-supervisor logs alice -f")
    .action(logs);
  for (const verb of ["start", "stop", "restart"] as const) {
    const defined = program
      .command(`${verb} <name>`)
      .description(DESCRIPTIONS[verb])
      .option("--server <server>", "only the instance of this server");
    if (verb === "restart")
      defined.option(
        "--graceful",
        "let each serve until its successor is ready, and finish its calls (for up to drainTimeout)",
      );
    defined
      .addHelpText("after", `\nExample:\n  mcp-supervisor ${verb} alice`)
      .action(async (name: string, options: ServerOption, command: Command) => {
        await act(verb, name, options, command);
      });
  }
}
