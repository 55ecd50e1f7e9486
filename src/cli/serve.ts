import { basename, delimiter, dirname, relative, resolve } from "node:path";
import type { Command } from "commander";
import type { Daemon } from "../daemon.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { Logger } from "../telemetry/logger.ts";
import { answer, globalsOf } from "./output.ts";
import { readVersion } from "./version.ts";

/** The path as one would type it here. */
function near(path: string): string {
  const way = relative(process.cwd(), path);
  // A service runs in the root folder, and whoever reads its journal does not.
  const short = way.startsWith("..") || process.cwd() === "/" ? path : way;
  return /^[\w./@:+-]+$/.test(short) ? short : `'${short.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * How this program is called, so that a printed command works when pasted: by its name where a shell
 * would find it, else by its files, and with the config where that was not found by itself.
 */
function ownName(config: string | undefined): string {
  const [program = "", script = ""] = process.argv;
  const isInPath = (process.env["PATH"] ?? "").split(delimiter).includes(dirname(script));
  // A checkout brings its own Node, because the system's may be too old for it.
  const node = program.includes("/node_modules/") ? near(program) : "node";
  const name =
    isInPath && basename(script) === "mcp-supervisor"
      ? "mcp-supervisor"
      : `${node} ${near(script)}`;
  const named = config ?? process.env["MCP_SUPERVISOR_CONFIG"];
  return named === undefined || named === "" ? name : `${name} --config ${near(resolve(named))}`;
}

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
  const config = loadConfig({ path: globals.config });
  const scrubber = new Scrubber();
  const log = createLogger(config.log.level, { scrubber });
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
