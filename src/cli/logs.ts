import { Option } from "commander";
import type { Command } from "commander";
import type { LogRow } from "../api/types.ts";
import { SupervisorError } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, globalsOf, jsonLine, second } from "./output.ts";
import { parseSince } from "./times.ts";
import { variantText } from "./variant.ts";
import { shown, viewHere } from "./view.ts";
import type { Line } from "./view.ts";

interface Options {
  server?: string;
  follow?: boolean;
  since?: string;
  limit?: string;
  user?: string;
  outcome?: string;
}

/** A line of a child, whole: a terminal wraps it, and what is copied from there is what was written. */
function logLine({ at, server, variant, stream, text }: LogRow): Line {
  const what = variantText(variant);
  const where = what === null ? server : `${server} (${what})`;
  return [
    { text: `${second(at)} ${where} `, tone: "aside" },
    stream === "stderr" ? { text: "err", tone: "warning" } : "out",
    ` ${text}`,
  ];
}

export const logScreen = (rows: readonly LogRow[]): Line[] =>
  rows.length > 0 ? rows.map(logLine) : ["No output kept."];

async function logs(name: string | undefined, options: Options, command: Command): Promise<void> {
  const user = name ?? options.user;
  if (user === undefined) throw new SupervisorError("USAGE", "whose logs? name a user");
  const { server, limit, since, outcome, follow = false } = options;
  const from = since === undefined ? undefined : String(parseSince(since));
  const client = await clientFor(command);
  const query = { server, since: from, limit, outcome, follow: follow ? "1" : undefined };
  const path = apiPath(["users", user, "logs"], query);
  if (follow) {
    const isJson = globalsOf(command).json;
    await client.follow(path, (document) => {
      const row = document as LogRow;
      process.stdout.write(isJson ? jsonLine(row) : shown([logLine(row)], viewHere()));
    });
    return;
  }
  const found = await client.call<{ logs: LogRow[] }>("GET", path);
  answer(command, found, logScreen(found.logs));
}

export function addLogsCommand(program: Command): void {
  program
    .command("logs [name]")
    .description("show the last output lines of a user's children")
    .option("--server <server>", "of this server only")
    .option("--since <time>", "from this time on: 1h, yesterday, 2027-01-31T12:00:00Z")
    .option("-n, --limit <count>", "the last so many (default: all that are kept)")
    .option("--user <name>", "of this user, like the name")
    .addOption(
      new Option("--outcome <outcome>", "of children that failed, or of those that did not")
        .choices(["ok", "failed"])
        .conflicts("follow"),
    )
    .option("-f, --follow", "go on as lines come, until Ctrl-C")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor logs alice -f\n  mcp-supervisor logs alice -n 20 --since 1h",
    )
    .action(logs);
}
