import type { Command } from "commander";
import type { EndedPanelSessions, PanelLink } from "../api/panel-types.ts";
import { counted } from "../errors.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer, second } from "./output.ts";

async function panel({ revoke = false }: { revoke?: boolean }, command: Command): Promise<void> {
  const client = await clientFor(command);
  if (revoke) {
    const done = await client.call<EndedPanelSessions>("DELETE", apiPath(["panel", "sessions"]));
    const what = counted(done.ended, "session of the panel was", "sessions of the panel were");
    return answer(command, done, [`${what} ended, and no link is good any more.`]);
  }
  const link = await client.call<PanelLink>("POST", apiPath(["panel", "links"]), {});
  answer(command, link, [
    `Panel (shown this once; good once and until ${second(link.expiresAt)}):`,
    `  ${link.url}`,
    `The audit calls what is done there "admin session ${link.id}".`,
  ]);
}

export function addPanelCommand(program: Command): void {
  program
    .command("panel")
    .description("print a link that opens the admin panel in a browser, once, within a minute")
    .option("--revoke", "end every session of the panel, and make links that there are void")
    .addHelpText("after", "\nExample:\n  mcp-supervisor panel")
    .action(panel);
}
