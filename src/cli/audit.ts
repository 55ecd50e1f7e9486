import type { Command } from "commander";
import type { AuditEntry, AuditLog } from "../api/types.ts";
import { timeTaken } from "../platform/durations.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, orDash, second } from "./output.ts";
import { leavingText, table } from "./table.ts";
import type { Column } from "./table.ts";
import { parseSince } from "./times.ts";
import { viewHere } from "./view.ts";
import type { Line, View } from "./view.ts";

interface Options {
  since?: string;
  limit?: string;
  user?: string;
  outcome?: string;
}

const COLUMNS: readonly Column<AuditEntry>[] = [
  { title: "TIME", cell: ({ at }) => second(at) },
  { title: "KIND", cell: ({ kind }) => kind, leaves: 4 },
  { title: "USER", cell: ({ user }) => orDash(user) },
  { title: "SERVER", cell: ({ server }) => orDash(server), leaves: 5 },
  { title: "WHAT", cell: ({ what }) => what },
  {
    title: "OUTCOME",
    cell: ({ outcome }) => outcome,
    tone: ({ outcome }) => (outcome === "ok" ? undefined : "bad"),
  },
  {
    title: "TOOK",
    cell: ({ durationMs }) => (durationMs === null ? "-" : timeTaken(durationMs)),
    isNumber: true,
    leaves: 2,
  },
  { title: "WHO", cell: ({ who }) => orDash(who), leaves: 3 },
  { title: "REQUEST", cell: ({ requestId }) => requestId, leaves: 1 },
];

export function auditScreen(entries: readonly AuditEntry[], view: View): Line[] {
  if (entries.length === 0) return ["Nothing is recorded."];
  return table(COLUMNS, entries, view, {
    notes: ({ reason }) => (reason === null ? [] : [reason]),
  });
}

async function audit(name: string | undefined, options: Options, command: Command): Promise<void> {
  const { since, limit, outcome } = options;
  const from = since === undefined ? undefined : String(parseSince(since));
  const client = await clientFor(command);
  const user = name ?? options.user;
  const path = apiPath(["audit"], { user, since: from, limit, outcome });
  const found = await client.call<AuditLog>("GET", path);
  answer(command, found, auditScreen(found.entries, viewHere()));
}

export function addAuditCommand(program: Command): void {
  program
    .command("audit [name]")
    .description("show who did what: tool calls, orders of admins, refused requests")
    .option("--since <time>", "from this time on: 1h, yesterday, 2027-01-31T12:00:00Z")
    .option("-n, --limit <count>", "the last so many (default: 1000)")
    .option("--user <name>", "of this user only, like the name")
    .option("--outcome <outcome>", "what ended so only: ok, refused, an error's code")
    .addHelpText(
      "after",
      `${leavingText(COLUMNS)}\nExample:\n  mcp-supervisor audit alice --since 1h`,
    )
    .action(audit);
}
