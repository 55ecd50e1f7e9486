import type { Command } from "commander";
import type { AuditEntry, AuditLog } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, orDash, table } from "./output.ts";
import { parseInstant, parseLifetime } from "./times.ts";

const HEADER = ["TIME", "KIND", "USER", "SERVER", "WHAT", "OUTCOME", "MS", "WHO", "REQUEST"];

interface Options {
  since?: string;
  limit?: string;
}

/** A time, or how long ago. */
function instantOf(text: string): number {
  return /^\d+[smhd]$/.test(text) ? Date.now() - parseLifetime(text) : parseInstant(text);
}

function cells(entry: AuditEntry): string[] {
  const { at, kind, user, server, what, outcome, reason, durationMs, who, requestId } = entry;
  return [
    new Date(at).toISOString(),
    kind,
    orDash(user),
    orDash(server),
    what,
    reason === null ? outcome : `${outcome}: ${reason}`,
    durationMs === null ? "-" : durationMs.toFixed(1),
    orDash(who),
    requestId,
  ];
}

async function audit(
  name: string | undefined,
  { since, limit }: Options,
  command: Command,
): Promise<void> {
  const from = since === undefined ? undefined : String(instantOf(since));
  const client = await clientFor(command);
  const path = apiPath(["audit"], { user: name, since: from, limit });
  const found = await client.call<AuditLog>("GET", path);
  const { entries } = found;
  answer(
    command,
    found,
    entries.length === 0 ? ["Nothing is recorded."] : table(HEADER, entries.map(cells)),
  );
}

export function addAuditCommand(program: Command): void {
  program
    .command("audit [name]")
    .description("show who did what: tool calls, orders of admins, refused requests")
    .option("--since <time>", "from this time on: 1h, 7d, 2027-01-31T12:00:00Z")
    .option("--limit <count>", "the last so many (default: 1000)")
    .addHelpText("after", "\nExample:\n  mcp-supervisor audit alice --since 1h")
    .action(audit);
}
