import type { Command } from "commander";
import type { Status, StatusRow } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { roughDuration } from "../platform/durations.ts";
import { roughSize } from "../platform/sizes.ts";
import { answer, orDash, table } from "./output.ts";
import { counted } from "../errors.ts";

const HEADER = [
  "USER",
  "SERVER",
  "STATE",
  "FOR",
  "PID",
  "PORT",
  "GEN",
  "RESTARTS",
  "SESSIONS",
  "CALLS",
  "RSS",
  "IDLE",
  "REASON",
];

/** What tells variants apart for people: the names of the capabilities, or the session. */
function shortVariant(variant: string): string {
  if (!variant.startsWith("{")) return variant.replaceAll(" ", "-");
  return Object.keys(JSON.parse(variant) as object).join("+");
}

export function instanceTable(instances: readonly StatusRow[]): string[] {
  if (instances.length === 0) return ["No instances; the first message starts one."];
  return table(
    HEADER,
    instances.map((row) => [
      row.user,
      row.variant === "" ? row.server : `${row.server}#${shortVariant(row.variant)}`,
      row.state,
      roughDuration((Date.now() - row.since) / 1_000),
      orDash(row.pid),
      orDash(row.port),
      String(row.generation),
      String(row.restarts),
      String(row.sessions),
      String(row.inFlight),
      row.rssBytes === null ? "-" : roughSize(row.rssBytes),
      row.idleSeconds === null ? "-" : roughDuration(row.idleSeconds),
      row.reason ?? "",
    ]),
  );
}

async function status(name: string | undefined, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const found = await client.call<Status>("GET", apiPath(["status"], { user: name }));
  answer(command, found, [
    `mcp-supervisor ${found.version}, pid ${found.pid}, up ${roughDuration(found.uptimeSeconds)}, isolation ${found.isolation}`,
    ...(found.queue.waiting > 0
      ? [
          `starts of children: ${found.queue.starting} under way, ${counted(found.queue.waiting, "waits for its", "wait for their")} turn`,
        ]
      : []),
    ...instanceTable(found.instances),
  ]);
}

export function addStatusCommand(program: Command): void {
  program
    .command("status [name]")
    .description("show the daemon and its instances, or one user's")
    .addHelpText("after", "\nExample:\n  mcp-supervisor status alice")
    .action(status);
}
