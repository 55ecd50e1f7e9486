import type { Command } from "commander";
import type { ActedOn, Status, StatusRow } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import type { ControlClient } from "./client.ts";
import { SupervisorError, counted } from "../errors.ts";
import { answer, known } from "./output.ts";
import { variantText } from "./variant.ts";
import { whileWaiting } from "./progress.ts";
import type { Waiting } from "./progress.ts";

type Verb = "start" | "stop" | "restart";

function outcome(verb: Verb, row: StatusRow): string {
  const variant = variantText(row.variant);
  const what = `${row.user}/${row.server}${variant === null ? "" : ` (${variant})`}`;
  const place = known({ pid: row.pid, pod: row.place, port: row.port });
  if (row.state === "draining")
    return `${what}: start ${row.generation} has ${counted(row.inFlight, "call")} to answer still${place === "" ? "" : ` (${place})`}.`;
  return verb === "stop"
    ? `${what} is stopped; the next message starts it again (user disable keeps it off).`
    : `${what} is ${row.state}${place === "" ? "" : ` (${place})`}.`;
}

interface Options {
  server?: string;
  graceful?: boolean;
}

const DOING: Record<Verb, string> = {
  start: "starting",
  stop: "stopping",
  restart: "restarting",
};

/** What these instances are up to, in a few words. */
async function standingOf(client: ControlClient, user?: string, server?: string): Promise<string> {
  const path = apiPath(["status"], { user, server });
  const { instances, queue } = await client.call<Status>("GET", path);
  const counts = Map.groupBy(instances, ({ state }) => state);
  const states = [...counts].map(([state, rows]) => `${rows.length} ${state}`);
  if (queue.waiting > 0) states.push(counted(queue.waiting, "start waits", "starts wait"));
  return states.join(", ");
}

async function act(verb: Verb, name: string, options: Options, command: Command): Promise<void> {
  const { server, graceful } = options;
  const client = await clientFor(command);
  const path = apiPath(["users", name, verb], { server });
  const body = graceful === true ? { graceful } : undefined;
  const waiting: Waiting = {
    doing: `${DOING[verb]} ${server === undefined ? name : `${name}/${server}`}`,
    ask: () => standingOf(client, name, server),
    afterInterrupt: `the daemon goes on with it; \`mcp-supervisor status ${name}\` shows how far it is`,
  };
  const done = await whileWaiting(command, waiting, client.call<ActedOn>("POST", path, body));
  const lines = done.instances.map((row) => outcome(verb, row));
  answer(command, done, lines.length > 0 ? lines : [`Nothing of ${done.user} was running.`]);
}

async function stopEverything(server: string | undefined, command: Command): Promise<void> {
  const client = await clientFor(command);
  const whose = server === undefined ? "every instance" : `every instance of ${server}`;
  const waiting: Waiting = {
    doing: `stopping ${whose}`,
    ask: () => standingOf(client, undefined, server),
    afterInterrupt: "the daemon goes on with it; `mcp-supervisor status` shows how far it is",
  };
  const order = client.call<Pick<ActedOn, "instances">>("POST", apiPath(["stop"], { server }));
  const done = await whileWaiting(command, waiting, order);
  const { length } = done.instances;
  answer(command, done, [
    length === 0
      ? "Nothing was running."
      : `${counted(length, "instance is", "instances are")} stopped; the next message to each starts it again.`,
  ]);
}

async function stop(
  name: string | undefined,
  { all = false, ...options }: Options & { all?: boolean },
  command: Command,
): Promise<void> {
  if (all !== (name === undefined))
    throw new SupervisorError("USAGE", "name the user whose instances are to stop, or say --all");
  if (name === undefined) await stopEverything(options.server, command);
  else await act("stop", name, options, command);
}

const DESCRIPTIONS: Record<Verb, string> = {
  start: "start a user's instance and wait until it is ready (default: of the default server)",
  stop: "stop a user's instances, or everybody's; the next message starts them again",
  restart: "stop a user's instances and start them anew (default: all that run)",
};

const SERVER = ["--server <server>", "only the instance of this server"] as const;

export function addInstanceCommands(program: Command): void {
  program
    .command("start <name>")
    .description(DESCRIPTIONS.start)
    .option(...SERVER)
    .addHelpText("after", "\nExample:\n  mcp-supervisor start alice")
    .action(async (name: string, options: Options, command: Command) => {
      await act("start", name, options, command);
    });
  program
    .command("stop [name]")
    .description(DESCRIPTIONS.stop)
    .option(...SERVER)
    .option("--all", "the instances of all users")
    .addHelpText("after", "\nExample:\n  mcp-supervisor stop alice\n  mcp-supervisor stop --all")
    .action(stop);
  program
    .command("restart <name>")
    .description(DESCRIPTIONS.restart)
    .option(...SERVER)
    .option(
      "--graceful",
      "let each serve until its successor is ready, and finish its calls (for up to drainTimeout)",
    )
    .addHelpText("after", "\nExample:\n  mcp-supervisor restart alice")
    .action(async (name: string, options: Options, command: Command) => {
      await act("restart", name, options, command);
    });
}
