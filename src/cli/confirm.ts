import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { SupervisorError } from "../errors.ts";
import { canAsk } from "./output.ts";

/**
 * Asks on a terminal, and rejects with USAGE for anything but a yes. Where there is nobody to ask
 * (`--json`, or no terminal) whoever wrote the command has said it.
 */
export async function confirm(command: Command, question: string): Promise<void> {
  if (!canAsk(command)) return;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  const isOver = new AbortController();
  lines.once("close", () => isOver.abort());
  lines.once("SIGINT", () => isOver.abort());
  const typed = await lines
    .question(`${question} [y/N] `, { signal: isOver.signal })
    .catch(() => "")
    .finally(() => lines.close());
  if (!/^y(es)?$/i.test(typed.trim()))
    throw new SupervisorError("USAGE", "not confirmed; nothing was changed");
}
