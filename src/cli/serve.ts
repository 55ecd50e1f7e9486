import type { Command } from "commander";
import type { Daemon } from "../daemon.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { answer, globalsOf } from "./output.ts";
import { ownName } from "./own-name.ts";
import { readVersion } from "./version.ts";

/** What `systemctl status` and `ps` show, in place of the path of the program. */
const TITLE = "mcp-supervisor serve";

/** A bad file is for whoever wrote it: each problem in the log, no stack. */
async function reloadLogged(daemon: Daemon, log: Logger): Promise<void> {
  try {
    await daemon.reload();
  } catch (error) {
    const { code, message, details, cause } = toSupervisorError(error);
    const known = code === "INTERNAL" ? { err: cause } : { details };
    log.error(
      { code, ...known },
      `the config was not reloaded, and the one before stays in force: ${message}`,
    );
  }
}

async function serve(_options: object, command: Command): Promise<void> {
  const [
    { loadConfig },
    { createLogger },
    { Scrubber },
    { openDaemon },
    { superviseProcess },
    { ServiceManager },
  ] = await Promise.all([
    import("../config/config.ts"),
    import("../telemetry/logger.ts"),
    import("../telemetry/scrubber.ts"),
    import("../daemon.ts"),
    import("./process-events.ts"),
    import("../systemd/systemd.ts"),
  ]);
  const globals = globalsOf(command);
  const config = loadConfig({ path: globals.config, isServed: true });
  const scrubber = new Scrubber();
  const log = createLogger(config.log.level, { scrubber, format: config.log.format });
  process.title = TITLE;
  const events = superviseProcess(log);
  const manager = new ServiceManager(process.env, (message) => log.warn(message));
  const { gatewayFd: listenFd } = manager;
  const daemon = await openDaemon({ config, log, scrubber, version: readVersion(), listenFd });
  events.hold(daemon);
  // In a terminal the signal says that the window was closed, and the daemon ends with it.
  if (!process.stdin.isTTY)
    events.onHangup(() => manager.reloading(() => reloadLogged(daemon, log)));
  manager.ready({
    status: () => daemon.summary(),
    isHealthy: (withinMs) => daemon.answersItself(withinMs),
  });
  const { host, port } = daemon.address;
  const firstStep =
    daemon.userCount === 0
      ? ["No users yet; this adds one:", `  ${ownName(globals.config)} user add alice`]
      : [];
  answer(
    command,
    {
      version: readVersion(),
      pid: process.pid,
      listen: { host, port },
      publicUrl: daemon.publicUrl.href,
      controlSocket: config.controlSocket,
      admin: daemon.adminAddress,
    },
    [
      `mcp-supervisor ${readVersion()} serves ${daemon.publicUrl.href} (pid ${process.pid}).`,
      ...firstStep,
    ],
  );
  const code = await events.asked;
  manager.stopping();
  await events.close();
  if (code !== 0)
    throw new SupervisorError("INTERNAL", "the daemon ended after a failure; see its log");
}

async function demo(options: { once?: boolean }, command: Command): Promise<void> {
  const { runDemo } = await import("./demo.ts");
  process.exitCode = await runDemo(command, options.once ?? false);
}

export function addServeCommands(program: Command): void {
  program
    .command("serve")
    .description("run the daemon in the foreground, until SIGTERM or Ctrl-C")
    .addHelpText("after", "\nExample:\n  mcp-supervisor serve --config ./supervisor.config.json")
    .action(serve);
  program
    .command("demo")
    .description("two users, two tokens, real clients, shown end to end; serves until Ctrl-C")
    .option("--once", "end after the show: 0 if every user saw the own token only, else 1")
    .addHelpText("after", "\nExample:\n  mcp-supervisor demo --once")
    .action(demo);
}
