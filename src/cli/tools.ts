import type { Command } from "commander";
import { SupervisorError } from "../errors.ts";
import type { CalledTool, ListedTool, ListedTools } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer } from "./output.ts";
import { leavingText, table } from "./table.ts";
import type { Column } from "./table.ts";
import { viewHere } from "./view.ts";
import type { Line, View } from "./view.ts";

const COLUMNS: readonly Column<ListedTool>[] = [
  { title: "TOOL", cell: ({ name }) => name },
  { title: "SERVER", cell: ({ servers }) => servers.join(", ") },
  { title: "WHAT", cell: ({ description = "" }) => description.split("\n")[0]!, leaves: 1 },
];

function toolTable({ tools, errors }: ListedTools, view: View): Line[] {
  const rows = tools.length === 0 ? ["No tools."] : table(COLUMNS, tools, view);
  return [...rows, ...errors.map(({ server, message }) => `${server}: ${message}`)];
}

async function listTools(
  name: string,
  { server }: { server?: string },
  command: Command,
): Promise<void> {
  const client = await clientFor(command);
  const path = apiPath(["users", name, "tools"], { server });
  const found = await client.call<ListedTools>("GET", path);
  answer(command, found, toolTable(found, viewHere()));
  if (found.errors.length > 0) process.exitCode = 1;
}

/** What a tool said, for people. */
function saidBy({ result }: CalledTool): string[] {
  const { content = [], structuredContent } = result;
  if (content.length === 0)
    return [structuredContent === undefined ? "(nothing)" : JSON.stringify(structuredContent)];
  return content.map((part) =>
    part.type === "text" ? String(part["text"]) : `[${part.type}; --json shows it]`,
  );
}

function argumentsIn(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new SupervisorError("USAGE", `--args must be a JSON object, like '{"text": "hello"}'`);
}

async function callTool(
  name: string,
  tool: string,
  { server, args = "{}" }: { server?: string; args?: string },
  command: Command,
): Promise<void> {
  // Who names a server here asks about that one.
  const only = server === undefined ? {} : { server, strict: true };
  const order = { method: tool, args: argumentsIn(args), ...only };
  const client = await clientFor(command);
  const path = apiPath(["users", name, "tools"]);
  const called = await client.call<CalledTool>("POST", path, order);
  answer(command, called, saidBy(called));
  if (called.result.isError === true) process.exitCode = 1;
}

export function addToolCommands(program: Command): void {
  program
    .command("tools <name>")
    .description("list a user's tools; starts a server only where its tools are not known")
    .option("--server <server>", "of this server only")
    .addHelpText("after", `${leavingText(COLUMNS)}\nExample:\n  mcp-supervisor tools alice`)
    .action(listTools);
  program
    .command("call <name> <tool>")
    .description("call a tool as a user, and print what it says")
    .option("--server <server>", "of this server, and of no other")
    .option("--args <json>", "what it is called with: a JSON object")
    .addHelpText("after", `\nExample:\n  mcp-supervisor call alice echo --args '{"text": "hello"}'`)
    .action(callTool);
}
