import type { Command } from "commander";
import type { ActedOn, StatusRow } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { counted } from "../errors.ts";
import { answer, known } from "./output.ts";

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

const DESCRIPTIONS: Record<Verb, string> = {
  start: "start a user's instance and wait until it is ready (default: of the default server)",
  stop: "stop a user's instances; the next message starts them again",
  restart: "stop a user's instances and start them anew (default: all that run)",
};

export function addInstanceCommands(program: Command): void {
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
