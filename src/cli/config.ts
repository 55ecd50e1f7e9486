import type { Command } from "commander";
import { answer, globalsOf } from "./output.ts";

async function checkConfig(_options: object, command: Command): Promise<void> {
  const [{ loadConfig }, { maySandbox, warningsOf }] = await Promise.all([
    import("../config/config.ts"),
    import("../config/warnings.ts"),
  ]);
  const config = loadConfig({ path: globalsOf(command).config, isServed: true });
  const warnings = warningsOf(config, maySandbox);
  const servers = Object.keys({ ...config.servers, ...config.environment });
  const disabled = Object.keys(config.disabled);
  const beside = disabled.length === 0 ? "" : ` (and disabled: ${disabled.join(", ")})`;
  answer(
    command,
    {
      path: config.path,
      dataDir: config.dataDir,
      controlSocket: config.controlSocket,
      publicUrl: config.publicUrl.href,
      defaultServer: config.defaultServer,
      servers,
      disabled,
      warnings,
    },
    [
      `${config.path ?? "the config"} is valid; servers: ${servers.join(", ") || "none"}${beside}; default: ${config.defaultServer ?? "none"}.`,
      ...warnings.map((warning) => `  warning: ${warning}`),
    ],
  );
}

async function schema(): Promise<void> {
  const { configJsonSchema } = await import("../config/config.ts");
  process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
}

export function addConfigCommands(program: Command): void {
  const config = program.command("config").description("check the config file, print its schema");
  config
    .command("check")
    .description("read the config file and list every problem at once; needs no daemon")
    .addHelpText(
      "after",
      "\nExample:\n  mcp-supervisor config check --config ./supervisor.config.json",
    )
    .action(checkConfig);
  config
    .command("schema")
    .description("print the JSON Schema of the config file")
    .addHelpText("after", "\nExample:\n  mcp-supervisor config schema > supervisor.schema.json")
    .action(schema);
}
