import type { Command } from "commander";
import type { EndedSession, ListedSession } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, instant, orDash } from "./output.ts";
import { table } from "./table.ts";
import type { Column } from "./table.ts";
import { viewHere } from "./view.ts";
import type { Line, View } from "./view.ts";

const clientOf = ({ client }: ListedSession): string =>
  client === null ? orDash(null) : `${client.name} ${client.version}`.trim();

const COLUMNS: readonly Column<ListedSession>[] = [
  { title: "SESSION", cell: ({ id }) => id },
  { title: "SERVER", cell: ({ server }) => server },
  { title: "FRONT", cell: ({ front }) => front },
  { title: "CLIENT", cell: clientOf },
  { title: "SINCE", cell: ({ since }) => instant(since), leaves: 1 },
  { title: "LAST USED", cell: ({ lastUsedAt }) => instant(lastUsedAt) },
  { title: "ATTACHED", cell: ({ attached }) => (attached ? "yes" : "no") },
  { title: "GEN", cell: ({ generation }) => orDash(generation), leaves: 2 },
  { title: "CALLS", cell: ({ inFlight }) => String(inFlight) },
];

function sessionTable(sessions: readonly ListedSession[], view: View): Line[] {
  return sessions.length === 0 ? ["No sessions."] : table(COLUMNS, sessions, view);
}

async function listSessions(name: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "sessions"]);
  const found = await client.call<{ sessions: ListedSession[] }>("GET", path);
  answer(command, found, sessionTable(found.sessions, viewHere()));
}

async function endSession(id: string, _options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const ended = await client.call<EndedSession>("DELETE", apiPath(["sessions", id]));
  answer(command, ended, [
    `Session ${ended.id} of ${ended.user} with ${ended.server} is ended; its client has to begin anew.`,
  ]);
}

export function addSessionCommands(program: Command): void {
  const session = program
    .command("session")
    .description("list the sessions of a user's clients, end one");
  session
    .command("list <name>")
    .description("list a user's sessions, those that wait for their client to come back among them")
    .addHelpText("after", "\nExample:\n  mcp-supervisor session list alice")
    .action(listSessions);
  session
    .command("end <id>")
    .description("end a session for good; its client gets 404")
    .addHelpText("after", "\nExample:\n  mcp-supervisor session end 2f9c1a04")
    .action(endSession);
}
