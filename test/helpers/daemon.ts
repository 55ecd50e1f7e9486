import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { connect } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { orderControl } from "./control.ts";
import { handOver } from "./hand-over.ts";
import { PROGRAM } from "./program.ts";
import { until } from "./until.ts";

const FIRST_PORT = 10_000 + (process.pid % 400) * 20;
/** What a daemon that was closed in order leaves in its data folder; anything else was forgotten. */
const MAY_STAY =
  /^(mcp-supervisor\.db|vault\.key|admin\.token|(daemon|keyring)\.lock|children\.journal|homes)$/;

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
  /** The one document on stdout. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- a cast, written once and not at each call
  json: <T>() => T;
  /** The error body on stderr. */
  error(): { code: number; type: string; message: string; requestId: string; details?: string[] };
}

export interface CliOptions {
  input?: string | Buffer;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** What starts it in the place of this process. */
  through?: readonly string[];
}

/** Runs the command line as a process of its own. */
export async function runCli(
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const argv = [...(options.through ?? []), process.execPath, "--no-warnings", PROGRAM, ...args];
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
    cwd: options.cwd,
  });
  // A command that fails early closes its stdin before it was all written.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input);
  const ended = once(child, "close") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  return {
    code,
    stdout,
    stderr,
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- as above
    json: <T>() => {
      assert.equal(code, 0, `exit ${code}: ${stderr}`);
      return JSON.parse(stdout) as T;
    },
    error: () => (JSON.parse(stderr) as { error: ReturnType<CliResult["error"]> }).error,
  };
}

export interface AddedUser {
  user: string;
  key: { id: string; secret: string };
  urls: { server: string; sse: string; http: string }[];
}

export interface TestDaemon {
  /** The folder of the config; all the daemon has lies in it. */
  dir: string;
  configPath: string;
  dataDir: string;
  socket: string;
  pid: number;
  /** `http://127.0.0.1:PORT` of the gateway. */
  origin: string;
  port: number;
  admin: { host: string; port: number } | null;
  /** The JSON lines it has logged so far; what has just happened may be logged a moment later. */
  log(): string;
  /** What it has printed so far. */
  output(): string;
  /** Runs the CLI against this daemon, with `--json` unless told otherwise. */
  cli: (
    args: readonly string[],
    options?: CliOptions & { isForPeople?: boolean },
  ) => Promise<CliResult>;
  addUser(name: string, token?: string): Promise<AddedUser>;
  /** Resolves with the exit code after the signal. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** `isService`: with no capability, and no way to any, as systemd starts a service. */
export interface Account {
  uid: number;
  isService?: boolean;
  /** /dev/net/tun is for everybody, as udev leaves it on most machines. */
  hasTun?: boolean;
}

const OPEN_TUN = `
  mount -t tmpfs tmpfs /dev/net
  mknod -m 666 /dev/net/tun c 10 200
  exec "$@"
`;

function becoming({ uid, isService = false, hasTun = false }: Account): string[] {
  const service = isService ? ["--bounding-set=-all", "--no-new-privs"] : [];
  // In a mount namespace of its own, so that the machine's stays as it is.
  const tun = hasTun ? ["unshare", "--mount", "--", "sh", "-ec", OPEN_TUN, "sh"] : [];
  const become = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
  return [...tun, ...become, ...service, "--"];
}

export interface DaemonOptions {
  /** Keys of supervisor.config.json beside those that the helper sets. */
  config?: Record<string, unknown>;
  env?: NodeJS.ProcessEnv;
  /** The folder of an earlier life, to start again on its data. */
  dir?: string;
  /** Serve without `--json`, for what it prints to people. */
  isForPeople?: boolean;
  /** A program, with its arguments, that becomes the daemon. */
  through?: readonly string[];
  /** Whom it runs as, where the test is root: the CLI stays root's. */
  account?: Account | undefined;
  /** A listener that is handed over to it, as a service manager does. */
  listenFd?: number;
  /** For tests that kill the daemon: children of level none outlive it, and the helper ends them. */
  mayOrphan?: boolean;
}

/** Every process that was given this text in its environment or arguments. */
export function processesWith(mark: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) =>
      ["environ", "cmdline"].some((file) => {
        try {
          return readFileSync(`/proc/${pid}/${file}`).includes(mark);
        } catch {
          return false;
        }
      }),
    )
    .map(Number);
}

export async function isListening(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

const closersOf = new WeakMap<TestContext, (() => unknown)[]>();

/** Runs at the end of the test, last added first: `t.after` runs them in order, and would take a folder from under its daemon. */
export function atEnd(t: TestContext, closer: () => unknown): void {
  const known = closersOf.get(t);
  known?.push(closer);
  if (known !== undefined) return;
  const closers = [closer];
  closersOf.set(t, closers);
  t.after(async () => {
    const failures: unknown[] = [];
    for (const close of closers.toReversed()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  });
}

/** A folder for a daemon, gone at the end of the test; its path is short enough for a socket in it. */
export function daemonFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "mcps-"));
  atEnd(t, () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function writeConfig(dir: string, config: Record<string, unknown>): string {
  const path = join(dir, "supervisor.config.json");
  const base = {
    dataDir: "./data",
    listen: { host: "127.0.0.1", port: 0 },
    isolation: "none",
    stopTimeout: "2s",
    // What reads requests in another way than users have it is tried by a run of its own.
    requestReader: process.env["TEST_REQUEST_READER"] ?? "own",
    // Test files run side by side; each takes its ports from a place of its own.
    ports: { from: FIRST_PORT, to: FIRST_PORT + 19 },
  };
  writeFileSync(path, JSON.stringify({ ...base, ...config }));
  return path;
}

async function assertNothingLeft(dir: string, port: number, mayOrphan: boolean): Promise<void> {
  const strays = processesWith(dir);
  for (const pid of strays) process.kill(pid, "SIGKILL");
  await until(() => processesWith(dir).length === 0, "the strays are gone");
  if (mayOrphan) return;
  assert.deepEqual(strays, [], "no process of the daemon is left");
  assert.equal(await isListening(port), false, "the gateway's port is free");
  const files = existsSync(join(dir, "data")) ? readdirSync(join(dir, "data")) : [];
  assert.deepEqual(
    files.filter((name) => !MAY_STAY.test(name)),
    [],
    "no file of a running daemon is left",
  );
}

interface Ready {
  pid: number;
  listen: { port: number };
  controlSocket: string;
  admin: { host: string; port: number } | null;
}

function readSentence(output: string, dir: string): Ready {
  const [, port, pid] = /serves http:\/\/127\.0\.0\.1:(\d+)\/ \(pid (\d+)\)/.exec(output) ?? [];
  const controlSocket = join(dir, "data", "control.sock");
  return { pid: Number(pid), listen: { port: Number(port) }, controlSocket, admin: null };
}

/**
 * Starts the real daemon as a process of its own, as the unit starts it, on ports of the system's choice.
 *
 * At the end of the test it is stopped, and the test fails if a child, a listener or a file of the
 * running daemon is left.
 */
export async function startDaemon(t: TestContext, options: DaemonOptions): Promise<TestDaemon> {
  const dir = options.dir ?? daemonFolder(t);
  const { isForPeople = false, mayOrphan = false } = options;
  const configPath = writeConfig(dir, options.config ?? {});
  const flags = ["serve", "--config", configPath, ...(isForPeople ? [] : ["--json"])];
  const { account, through = account === undefined ? [] : becoming(account) } = options;
  if (account) for (const file of [dir, configPath]) chownSync(file, account.uid, account.uid);
  const node = [process.execPath, "--no-warnings", "--max-semi-space-size=2"];
  const handed = handOver(options.listenFd);
  const argv = [...through, ...handed.through, ...node, PROGRAM, ...flags];
  const child = spawn(argv[0]!, argv.slice(1), {
    stdio: ["ignore", "pipe", "pipe", ...handed.files],
    env: { ...process.env, ...handed.env, ...options.env },
  });
  let log = "";
  let out = "";
  child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
  child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (out += chunk));
  const ended = once(child, "close") as Promise<[number | null]>;
  let hasEnded = false;
  void ended.then(() => (hasEnded = true));
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> => {
    if (!hasEnded) child.kill(signal);
    return (await ended)[0];
  };
  let port = 0;
  atEnd(t, async () => {
    await stop();
    await assertNothingLeft(dir, port, mayOrphan);
  });
  await until(() => out.includes("\n") || hasEnded, "the daemon serves", 60_000);
  if (!out.includes("\n")) throw new Error(`the daemon ended before it served\n${log}`);
  const ready = isForPeople ? readSentence(out, dir) : (JSON.parse(out) as Ready);
  port = ready.listen.port;

  const cli: TestDaemon["cli"] = async (args, { isForPeople: isPlain = false, ...rest } = {}) =>
    await runCli(["--config", configPath, ...(isPlain ? [] : ["--json"]), ...args], rest);
  return {
    dir,
    configPath,
    dataDir: join(dir, "data"),
    socket: ready.controlSocket,
    pid: ready.pid,
    origin: `http://127.0.0.1:${port}`,
    port,
    admin: ready.admin,
    log: () => log.slice(0, log.lastIndexOf("\n") + 1),
    output: () => out,
    cli,
    addUser: async (user, token) =>
      await orderControl<AddedUser>(ready.controlSocket, "POST", "/api/users", { user, token }),
    stop,
  };
}
