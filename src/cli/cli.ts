/** Room: cli. The command line: parses words, asks the control API over the unix socket, prints the answer. In: argv, stdin, environment. Out: text or JSON, an exit code. Holds no state and no rule of its own. */
import { Command, CommanderError } from "commander";
import { addApplyCommand } from "./apply.ts";
import { addAuditCommand } from "./audit.ts";
import { addBackupCommand } from "./backup.ts";
import { addCompletionCommand } from "./completion.ts";
import { addConfigCommands } from "./config.ts";
import { addDoctorCommand } from "./doctor.ts";
import { explain, failureOf } from "./explain.ts";
import { addGroupCommands } from "./group.ts";
import { addInitCommand } from "./init/commands.ts";
import { addInstanceCommands } from "./instance.ts";
import { addJwtCommands } from "./jwt.ts";
import { addKeyCommands } from "./key.ts";
import { addSessionCommands } from "./session.ts";
import { addKeyringCommands } from "./keyring.ts";
import { addKubernetesCommands } from "./kubernetes.ts";
import { addLogsCommand } from "./logs.ts";
import { addPackageCommands } from "./package.ts";
import { addPanelCommand } from "./panel.ts";
import { addReloadCommand } from "./reload.ts";
import { addRestoreCommand } from "./restore.ts";
import { addServeCommands } from "./serve.ts";
import { addServiceCommands } from "./service/commands.ts";
import { addStatusCommand } from "./status.ts";
import { addTokenCommands } from "./token.ts";
import { addToolCommands } from "./tools.ts";
import { addUrlCommand } from "./url.ts";
import { addUserCommands } from "./user.ts";
import { usageError, withoutValues } from "./usage.ts";
import { readVersion } from "./version.ts";

const USAGE_EXIT = 2;

/** All commands. They inherit these settings, so they must be made before any command is added. */
export function createProgram(onError: (text: string) => void): Command {
  const program = new Command("mcp-supervisor")
    .description("Runs one MCP server per user and gives each user a personal URL.")
    .option("--config <file>", "the config file (default: the first one found)")
    .option("--json", "answer with one JSON document; never ask")
    .version(readVersion())
    .configureHelp({ showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({
      writeErr: onError,
      outputError: (text, write) =>
        write(
          withoutValues(text)
            .trimEnd()
            .replace(/^error: /, "mcp-supervisor: ") + "\n",
        ),
    })
    .showHelpAfterError("  the same command with --help shows how")
    .exitOverride();
  addInitCommand(program);
  addServeCommands(program);
  addUserCommands(program);
  addGroupCommands(program);
  addApplyCommand(program);
  addTokenCommands(program);
  addKeyCommands(program);
  addSessionCommands(program);
  addJwtCommands(program);
  addUrlCommand(program);
  addStatusCommand(program);
  addLogsCommand(program);
  addInstanceCommands(program);
  addToolCommands(program);
  addAuditCommand(program);
  addDoctorCommand(program);
  addPanelCommand(program);
  addConfigCommands(program);
  addReloadCommand(program);
  addKeyringCommands(program);
  addKubernetesCommands(program);
  addBackupCommand(program);
  addRestoreCommand(program);
  addPackageCommands(program);
  addServiceCommands(program);
  addCompletionCommand(program);
  return program;
}

/** Runs one command line; resolves with the exit code once the command is done (for `serve`: once the daemon has closed). */
export async function run(argv: readonly string[]): Promise<number> {
  // A reader that went away (`| head`) is no failure of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  let complaint = "";
  const program = createProgram((text) => {
    complaint += text;
  });
  const isJson = argv.includes("--json");
  try {
    await program.parseAsync([...argv], { from: "user" });
    return typeof process.exitCode === "number" ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      if (isJson) explain(usageError(error), true);
      else process.stderr.write(complaint);
      return USAGE_EXIT;
    }
    const failure = failureOf(error);
    explain(failure, isJson);
    return failure.exit;
  }
}
