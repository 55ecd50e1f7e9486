import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { orderControl } from "./control.ts";
import { endWithUs } from "./end-with-us.ts";
import { handOver } from "./hand-over.ts";
import { PROGRAM } from "./program.ts";
import { until } from "./until.ts";

export interface AddedUser {
  user: string;
  key: { id: string; secret: string };
  urls: { server: string; sse: string; http: string }[];
}

export interface DaemonProcess {
  pid: number;
  /** `http://127.0.0.1:PORT`, the gateway. */
  origin: string;
  controlSocket: string;
  /** Its config, for those who change it and order a reload. */
  configFile: string;
  /** Runs the CLI against this daemon with `--json`, `secrets` in its environment; rejects with what it said unless it exits 0. */
  cli: (args: string[], secrets?: Record<string, string>) => Promise<unknown>;
  /** Adds a user, with the token if there is one. */
  addUser: (name: string, token?: string) => Promise<AddedUser>;
  /** The first line of `doctor NAME`; null where nothing is wrong. */
  causeOf: (user: string) => Promise<string | null>;
  /** What it has logged so far. */
  log: () => string;
  /** Ends it, and waits for that; its data stay. */
  end: (signal: NodeJS.Signals) => Promise<void>;
  /** SIGTERM, then waits for the end; removes its data. */
  stop: () => Promise<void>;
}

/** The exit codes of `doctor`: nothing is wrong, or something is, and it is said what. */
const DOCTOR_CODES = [0, 1];

/** Runs a command with `--json` on that config; rejects with what it said unless it exits with one of the codes. */
export async function runCli(
  file: string,
  args: string[],
  env: Record<string, string>,
  codes = [0],
): Promise<unknown> {
  const argv = ["--no-warnings", PROGRAM, ...args, "--json", "--config", file];
  const child = spawn(process.execPath, argv, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  const ended = once(child, "close") as Promise<[number | null]>;
  const [output, trouble] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  if (!codes.includes(code ?? 1))
    throw new Error(`mcp-supervisor ${args.join(" ")}: exit ${code}\n${trouble}`);
  return JSON.parse(output);
}

export interface DaemonOptions {
  /** Added to the environment of the daemon. */
  env?: Record<string, string>;
  /** Folders to copy next to the config file: name there → path here. */
  beside?: Record<string, string>;
  life?: Life | undefined;
}

/** One of several daemons that follow each other in a folder, which is their caller's, on a port that is held for them. */
export interface Life {
  dir: string;
  listenFd: number;
}

/**
 * Starts the real daemon, as a process of its own, on a free port with its data in a temporary
 * folder; for runs outside of node:test. `config` is a supervisor.config.json without `dataDir` and
 * `listen`. Resolves once the gateway listens; rejects with the daemon's log if it ends before that.
 */
export async function startDaemonProcess(
  config: Record<string, unknown>,
  { env = {}, beside = {}, life }: DaemonOptions = {},
): Promise<DaemonProcess> {
  const folder = life?.dir ?? (await mkdtemp(join(tmpdir(), "supervisor-")));
  const file = join(folder, "supervisor.config.json");
  const where = { dataDir: "./data", listen: { host: "127.0.0.1", port: 0 } };
  await writeFile(file, JSON.stringify({ ...where, ...config }));
  for (const [name, path] of Object.entries(beside))
    await cp(path, join(folder, name), { recursive: true });

  const flags = ["--no-warnings", PROGRAM, "serve", "--json", "--config", file];
  const handed = handOver(life?.listenFd);
  const argv = [...handed.through, process.execPath, ...flags];
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: ["ignore", "pipe", "pipe", ...handed.files],
    env: { ...process.env, ...handed.env, ...env },
  });
  endWithUs(child);
  let answer = "";
  let log = "";
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (answer += chunk));
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
  let hasEnded = false;
  const ended = once(child, "close").then(() => (hasEnded = true));
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  const stop = async () => {
    await end("SIGTERM");
    if (life === undefined) await rm(folder, { recursive: true, force: true });
  };
  try {
    await until(() => hasEnded || answer.includes("\n"), "the daemon serves", 600_000);
    if (hasEnded) throw new Error("the daemon ended before it served");
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}\n${log}`, { cause: error });
  }
  const { pid, listen, controlSocket } = JSON.parse(answer) as {
    pid: number;
    listen: { port: number };
    controlSocket: string;
  };

  const cli: DaemonProcess["cli"] = (args, secrets = {}) => runCli(file, args, secrets);
  return {
    pid,
    origin: `http://127.0.0.1:${listen.port}`,
    controlSocket,
    configFile: file,
    cli,
    addUser: async (user, token) =>
      await orderControl<AddedUser>(controlSocket, "POST", "/api/users", { user, token }),
    causeOf: async (user) => {
      const told = await runCli(file, ["doctor", user], {}, DOCTOR_CODES);
      return (told as { cause: string | null }).cause;
    },
    log: () => log,
    end,
    stop,
  };
}
