import { Argument } from "commander";
import type { Command } from "commander";
import { candidates } from "./candidates.ts";
import { SCRIPTS } from "./completion-scripts.ts";
import type { Shell } from "./completion-scripts.ts";

/** Without words the script for the shell, else what may stand in the place of the last of them. */
async function completion(
  shell: Shell,
  words: string[],
  _options: object,
  command: Command,
): Promise<void> {
  const lines = words.length === 0 ? [SCRIPTS[shell]] : await candidates(command.parent!, words);
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .description("print what a shell needs to complete commands, users, servers and key ids")
    .addArgument(new Argument("<shell>", "which shell").choices(Object.keys(SCRIPTS)))
    .argument("[words...]", "behind --: words to complete the last of; the shell gives them")
    .addHelpText(
      "after",
      [
        "",
        "Example:",
        "  mcp-supervisor completion bash > /etc/bash_completion.d/mcp-supervisor",
        '  mcp-supervisor completion zsh > "${fpath[1]}/_mcp-supervisor"',
        "  mcp-supervisor completion fish > ~/.config/fish/completions/mcp-supervisor.fish",
      ].join("\n"),
    )
    .action(completion);
}
