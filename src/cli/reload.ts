import type { Command } from "commander";
import type { Reloaded } from "../api/types.ts";
import { apiPath, clientFor } from "./client.ts";
import { answer } from "./output.ts";
import { whileWaiting } from "./progress.ts";

const WORDS = [
  ["changed", "Changed"],
  ["added", "Added"],
  ["removed", "Removed or disabled"],
  ["needsRestart", "In force only after a restart of the daemon"],
] as const;

async function reload(_options: object, command: Command): Promise<void> {
  const client = await clientFor(command);
  const waiting = {
    doing: "reading the config again",
    afterInterrupt: "the daemon goes on with it; its log says when the config is in force",
  };
  const order = client.call<Reloaded>("POST", apiPath(["reload"]));
  const done = await whileWaiting(command, waiting, order);
  const lines = WORDS.filter(([key]) => done[key].length > 0).map(
    ([key, words]) => `${words}: ${done[key].join(", ")}.`,
  );
  if (done.changed.length > 0)
    lines.push("Children in use serve until others take over (status shows both).");
  answer(command, done, [
    `Reloaded ${done.path}${lines.length === 0 ? "; no server changed." : "."}`,
    ...lines,
    ...(done.warnings ?? []).map((warning) => `Warning: ${warning}`),
  ]);
}

export function addReloadCommand(program: Command): void {
  program
    .command("reload")
    .description("read the config file again; only children whose server changed are replaced")
    .addHelpText("after", "\nExample:\n  mcp-supervisor reload")
    .action(reload);
}
