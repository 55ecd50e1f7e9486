import type { Command } from "commander";
import { answer, globalsOf } from "../output.ts";

interface InstallOptions {
  user?: string;
  dryRun?: boolean;
}

async function install(options: InstallOptions, command: Command): Promise<void> {
  const [{ findPlace }, steps, { requireSystem }, preflight] = await Promise.all([
    import("./place.ts"),
    import("./install.ts"),
    import("./system.ts"),
    import("./preflight.ts"),
  ]);
  const isDry = options.dryRun ?? false;
  if (!isDry) requireSystem();
  const { config } = globalsOf(command);
  const place = await findPlace({ config, user: options.user });
  const found = await preflight.examinePlace(place);
  if (!isDry) preflight.requireNothing(found);
  const done = isDry ? steps.rehearse(place) : steps.install(place);
  const { unit, configFile } = place;
  const document = {
    ...found,
    ...done,
    dryRun: isDry,
    user: unit.user,
    config: configFile,
    dataDir: unit.dataDir,
    keyFile: unit.keyFile,
  };
  const past = isDry ? { made: "would make", changed: "would change", kept: "keeps" } : undefined;
  answer(command, document, [
    ...done.steps.map(({ what, outcome }) => `${past?.[outcome] ?? outcome} ${what}`),
    ...preflight.preflightLines(found),
    ...found.warnings.map((warning) => `warning: ${warning}`),
    ...done.complaints,
    ...(done.exposure === null
      ? []
      : [`systemd-analyze security: ${done.exposure.toFixed(1)} of 10, less is better`]),
    "",
    "Next:",
    `  ${found.missing.length > 0 && found.remedy !== null ? found.remedy : done.next}`,
  ]);
  if (found.missing.length > 0) process.exitCode = 1;
}

async function print(options: InstallOptions, command: Command): Promise<void> {
  const [{ findPlace }, { serviceUnit, socketUnit, SERVICE_UNIT, SOCKET_UNIT }] = await Promise.all(
    [import("./place.ts"), import("../../systemd/unit.ts")],
  );
  const { unit } = await findPlace({ config: globalsOf(command).config, user: options.user });
  const [service, socket] = [serviceUnit(unit), socketUnit(unit)];
  answer(command, { [SERVICE_UNIT]: service, [SOCKET_UNIT]: socket }, [
    `# ${SERVICE_UNIT}`,
    service,
    `# ${SOCKET_UNIT}`,
    socket.trimEnd(),
  ]);
}

async function uninstall(options: { purge?: boolean }, command: Command): Promise<void> {
  const [steps, { requireSystem }] = await Promise.all([
    import("./uninstall.ts"),
    import("./system.ts"),
  ]);
  requireSystem();
  const done = steps.uninstall(options.purge ?? false);
  answer(command, done, [
    ...(done.removed.length === 0 ? ["mcp-supervisor is not installed as a service here"] : []),
    ...done.removed.map((path) => `removed ${path}`),
    ...done.kept.map((path) => `kept ${path}`),
    ...(done.kept.length === 0 ? [] : ["", "With --purge these would be removed, too."]),
  ]);
}

export function addServiceCommands(program: Command): void {
  const service = program.command("service").description("run the daemon as a systemd service");
  service
    .command("install")
    .description("make account, folders, key and units; start nothing")
    .option("--user <name>", "the account to run as (default: mcp-supervisor)")
    .option("--dry-run", "only say what would be done; needs no root")
    .addHelpText("after", "\nExample:\n  mcp-supervisor service install --dry-run")
    .action(install);
  service
    .command("print")
    .description("print the units that install would write, and touch nothing")
    .option("--user <name>", "the account to run as (default: mcp-supervisor)")
    .addHelpText("after", "\nExample:\n  mcp-supervisor service print")
    .action(print);
  service
    .command("uninstall")
    .description("stop the service and remove its units; config, key and data stay")
    .option("--purge", "remove /etc/mcp-supervisor and /var/lib/mcp-supervisor, too")
    .addHelpText("after", "\nExample:\n  mcp-supervisor service uninstall")
    .action(uninstall);
}
