import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import { SupervisorError } from "../errors.ts";
import { DyingTree } from "./dying-tree.ts";
import { guarded } from "./guard.ts";
import { splitLines } from "./line-splitter.ts";
import { listenersOn } from "./listeners.ts";
import { findProgram } from "./programs.ts";
import { residentBytes, glanceProcessTable, treeOf } from "./process-table.ts";
import type { Exit, OnLine, RunSpec, Running } from "./runner.ts";

const LAST_WORDS_MS = 500;

// A daemon that ends by accident takes its children along; execa leaves detached ones alone.
const leaders = new Set<number>();
function killLeaders(): void {
  for (const pid of leaders) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // Already gone.
    }
  }
}

/**
 * Starts a process of this machine as the leader of a session and group of its own, inside its confinement.
 *
 * Rejects with INSTANCE_SPAWN_FAILED when the system refuses (no such program or folder, not
 * executable, no process or descriptor left). Never throws later: what the child does afterwards
 * is told by `exited`.
 */
export async function startProcess(spec: RunSpec, onLine: OnLine): Promise<Running> {
  const [command, ...args] = spec.argv;
  const found = findProgram(command, spec.cwd, spec.env["PATH"]);
  if (found.file === undefined) throw spawnFailure(spec, command, found.refusal, undefined);
  const [file, ...rest] = guarded([found.file, ...args], { env: spec.env });
  const subprocess = execa(file, rest, {
    cwd: spec.cwd,
    env: spec.env,
    extendEnv: false,
    shell: false,
    detached: true,
    buffer: false,
    reject: false,
    encoding: "buffer",
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const pid = subprocess.pid;
  if (pid === undefined) {
    const result = await subprocess;
    throw spawnFailure(spec, found.file, result.code, result.cause);
  }
  if (leaders.size === 0) process.once("exit", killLeaders);
  leaders.add(pid);

  const { stdin, stdout, stderr } = subprocess;
  // EPIPE: the child closed its stdin or ended. Its end is told by `exited`.
  stdin.on("error", () => {});
  if (spec.stdout === "lines") splitLines(stdout, (line) => onLine("stdout", line));
  splitLines(stderr, (line) => onLine("stderr", line));

  // Not execa's own promise: that waits for the output streams too, which a grandchild keeps open.
  const exited = new Promise<Exit>((resolve) => {
    subprocess.nodeChildProcess.once("exit", (code, signal) =>
      resolve({ code, signal, at: Date.now() }),
    );
  });
  const drained = closed(stdout, stderr);
  const tree = new DyingTree(pid);
  let ending: Promise<Exit> | undefined;
  let killing: Promise<void> | undefined;

  const finish = async (): Promise<Exit> => {
    const exit = await exited;
    leaders.delete(pid);
    if (leaders.size === 0) process.removeListener("exit", killLeaders);
    void hangUp();
    return exit;
  };
  const hangUp = async (): Promise<void> => {
    stdin.destroy();
    // The last words are in the pipes still. A stray that was not found may hold them open for ever.
    await Promise.race([drained, delay(LAST_WORDS_MS)]);
    stdout.destroy();
    stderr.destroy();
  };
  const kill = async (): Promise<Exit> => {
    killing ??= tree.kill();
    await killing;
    return await finish();
  };
  const stop = async (): Promise<Exit> => {
    // Looked at before the first signal: strays are found only while their parents live.
    await tree.survivors();
    stdin.end();
    const left = await tree.gone(spec.eofGraceMs, exited);
    if (left.length > 0) {
      tree.signal(left, "SIGTERM");
      await tree.gone(spec.stopTimeoutMs, exited);
    }
    return await kill();
  };

  // Nothing known for the moment (no descriptor left, say) is asked again by whoever waits for it.
  const members = async () => treeOf(pid, await glanceProcessTable().catch(() => []));
  return {
    pid,
    stdin,
    stdout,
    socketPath: null,
    exited,
    drained,
    stop: () => (ending ??= stop()),
    kill: () => kill(),
    listenersOn: (port) =>
      listenersOn(port, pid, async () => (await members()).map((entry) => entry.pid)),
    rssBytes: async () => {
      const bytes = residentBytes(await members());
      return bytes === 0 ? null : bytes;
    },
  };
}

async function closed(...streams: NodeJS.ReadableStream[]): Promise<void> {
  await Promise.all(
    streams.map((stream) => new Promise<void>((resolve) => stream.once("close", resolve))),
  );
}

const REFUSALS: Record<string, string> = {
  ENOENT: "there is no such program",
  EACCES: "it may not be executed",
  EPERM: "it may not be executed",
  ENOEXEC: "it is not a program",
  ENOTDIR: "a part of its path is not a folder",
  E2BIG: "its arguments and environment are too long",
  EAGAIN: "the system allows no more processes",
  ENOMEM: "there is not enough memory",
  EMFILE: "the daemon has no file descriptor left",
  ENFILE: "the system has no file descriptor left",
};

function spawnFailure(spec: RunSpec, file: string, code: string | undefined, cause: unknown) {
  // The system says ENOENT for a missing folder too.
  const isFolder = statSync(spec.cwd, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const why = isFolder
    ? (REFUSALS[code ?? ""] ?? `the system refused it (${code ?? "unknown reason"})`)
    : "its folder does not exist";
  // Paths are for the admin: the message may reach a client.
  const details = [isFolder ? `program: ${file}` : `folder: ${spec.cwd}`];
  return new SupervisorError("INSTANCE_SPAWN_FAILED", `could not be started: ${why}`, {
    cause,
    details,
  });
}
