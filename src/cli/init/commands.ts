import { Option } from "commander";
import type { Command } from "commander";
import { withSecretOptions } from "../secret.ts";
import type { InitOptions } from "./init.ts";

export function addInitCommand(program: Command): void {
  withSecretOptions(program.command("init"))
    .description("write a config for a server, once it was seen to work")
    .option(
      "--from <source>",
      "a file with mcpServers or an entry, a URL, npm:NAME@VERSION, pypi:NAME==VERSION, - for stdin",
    )
    .option("--yes", "ask nothing")
    .option("--name <name>", "what the server is called here")
    .option("--token-variable <name>", "the variable in which the server expects a user's token")
    .addOption(
      new Option(
        "--isolation <level>",
        "what stands around it (default: the strongest there is)",
      ).choices(["auto", "none", "user", "sandbox"]),
    )
    .option("--bin <program>", "which program of the package is the server")
    .option("--allow-scripts", "let packages run code of their own while they are installed")
    .addHelpText(
      "after",
      [
        "",
        "The token is to try it with, and is not kept.",
        "",
        "Example:",
        "  mcp-supervisor init --from npm:@modelcontextprotocol/server-everything@2026.8.31 --yes",
        "  mcp-supervisor init --from ~/.cursor/mcp.json",
        "  mcp-supervisor init --from https://mcp.example.com/mcp",
      ].join("\n"),
    )
    .action(async (options: InitOptions, command: Command) => {
      // With the config's schema and the daemon behind it, which no other command is to wait for.
      const { init } = await import("./init.ts");
      await init(options, command);
    });
}
