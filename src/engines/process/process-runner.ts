import { statSync } from "node:fs";
import { constants } from "node:os";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { SupervisorError, shortageOf } from "../../errors.ts";
import { endAccounts, holdAccount } from "./accounts.ts";
import { ChildJournal } from "./child-journal.ts";
import { confine } from "./confine.ts";
import { takeDelegation } from "./delegation.ts";
import { DyingTree } from "./dying-tree.ts";
import { closeForkServer, forkServer } from "./forks.ts";
import { ResourceControl } from "./resource-control.ts";
import { OutputShare } from "../../platform/output-share.ts";
import { helpersIn, isCountedAlone } from "./limits.ts";
import { residentBytes } from "./held-memory.ts";
import { splitLines } from "./line-splitter.ts";
import { isChildEnding } from "./is-ending.ts";
import { listenersOn } from "./listeners.ts";
import { filesFor } from "./memory-files.ts";
import { MessagePipes } from "./message-pipes.ts";
import { findProgram } from "./programs.ts";
import { glanceProcessTable } from "./process-table.ts";
import { reapEarlierLives } from "./reaper.ts";
import { send } from "./signal.ts";
import type { CgroupRoot, Controller } from "./cgroup.ts";
import type { Confined } from "./confine.ts";
import type { TreeSigns } from "./dying-tree.ts";
import type { Forked } from "./forks.ts";
import type { ChildControl } from "./resource-control.ts";
import type { LimitHit } from "./limits.ts";
import type { Reaped } from "./reaper.ts";
import type { Exit, OnLine, RunSpec, Running, StartRunner } from "./runner.ts";

const LAST_WORDS_MS = 500;

// A daemon that ends by accident takes its children along, and what they started.
const leaders = new Map<number, ChildControl>();
function killLeaders(): void {
  for (const [pid, { cgroup }] of leaders) {
    cgroup?.kill();
    send(-pid, "SIGKILL");
  }
}

export interface ProcessRunner {
  start: StartRunner;
  /** What earlier lives of the daemon had left behind and is ended now. */
  reaped: Reaped;
  /** What the kernel limits for us; nothing without a delegated cgroup. */
  controllers: ReadonlySet<Controller>;
  /** A cgroup was delegated, and could not be made use of. */
  delegationFailure: Error | undefined;
  /** Its children must have ended. */
  close(): Promise<void>;
}

/**
 * A runner for the daemon of this data folder, which must be locked by it. Resolves when nothing
 * that earlier daemons of this folder started runs any more, and nothing as one of the `accounts`,
 * which are its children's. Rejects with DISK_FULL,
 * RESOURCES_EXHAUSTED or INTERNAL when its journal cannot be written.
 */
export async function openProcessRunner(
  dataDir: string,
  accounts: ReadonlySet<number> = new Set(),
): Promise<ProcessRunner> {
  const journal = new ChildJournal(dataDir);
  let cgroups: CgroupRoot | undefined;
  let delegationFailure: Error | undefined;
  try {
    cgroups = await takeDelegation();
  } catch (error) {
    // Children without limits of the kernel's are better than none, and the admin is told.
    delegationFailure = error as Error;
  }
  const reaped = await reapEarlierLives(journal.earlier, cgroups?.leftOver());
  await endAccounts(accounts);
  journal.begin(reaped.left);
  const keeper = new ResourceControl(journal, cgroups);
  return {
    start: (spec, onLine) => startProcess(spec, onLine, keeper),
    reaped,
    controllers: cgroups?.controllers ?? new Set(),
    delegationFailure,
    close: async () => {
      await closeForkServer();
      journal.close();
    },
  };
}

/**
 * Starts a process of this machine as the leader of a session and group of its own, inside its confinement.
 *
 * `keeper` makes it known to the daemon's next life, in case this one ends before it.
 *
 * Rejects with INSTANCE_SPAWN_FAILED when the system refuses the program (there is none, it is not
 * executable, no such folder), with RESOURCES_EXHAUSTED when it has no process, descriptor or memory
 * left, with DISK_FULL when it cannot be written down. Never throws later: what the child does
 * afterwards is told by `exited`.
 */
export async function startProcess(
  spec: RunSpec,
  onLine: OnLine,
  keeper = new ResourceControl(),
): Promise<Running> {
  const [command] = spec.argv;
  const found = findProgram(command, spec.cwd, spec.env["PATH"]);
  if (found.file === undefined) throw refusal(spec, command, { code: found.refusal });
  const kept = keeper.admit(spec.limits ?? {}, helpersIn(spec.confinement));
  const { confined, forked, releaseAccount } = await forkConfined(spec, found.file, kept);
  const { pid } = forked;
  if (leaders.size === 0) process.once("exit", killLeaders);
  leaders.set(pid, kept);

  const [stdin, stdout, stderr] = forked.pipes as [Socket, Socket, Socket];
  // EPIPE: the child closed its stdin or ended. Its end is told by `exited`.
  stdin.on("error", () => {});
  const output = new OutputShare();
  const broke = (): void => void kill();
  if (spec.stdout === "lines") splitLines(stdout, (line) => onLine("stdout", line), output, broke);
  const hear = (line: string): void => {
    kept.heard(line);
    onLine("stderr", line);
  };
  splitLines(stderr, hear, output, broke);
  const drained = closed(stdout, stderr);

  const pipes = spec.stdout === "messages" ? new MessagePipes(stdin, stdout) : undefined;
  let hasEnded = false;
  const exited = forked.exited.then(async ({ code, signal }): Promise<Exit> => {
    hasEnded = true;
    const at = Date.now();
    const end = confined.isWrapped ? unwrapped(code, signal) : { code, signal };
    return { ...end, at, limit: await kept.limitBehind(end, drained) };
  });
  const tree = new DyingTree(pid, signsOf(kept, spec));
  let ending: Promise<Exit> | undefined;
  let killing: Promise<void> | undefined;

  const finish = async (): Promise<Exit> => {
    const exit = await exited;
    confined.release();
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
    killing ??= tree.kill().then(releaseAccount);
    await killing;
    kept.release();
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
  const files = filesFor(spec.confinement);
  const members = async () => tree.membersOf(await glanceProcessTable().catch(() => []));
  const pids = async () => (await members()).map((entry) => entry.pid);
  const resident = async (): Promise<number> => {
    const [processes] = await Promise.all([members(), files.look()]);
    return residentBytes(processes, files.of(processes));
  };
  let strain!: (hit: LimitHit) => void;
  const strained = new Promise<LimitHit>((resolve) => (strain = resolve));
  const running: Running = {
    pid,
    stdin,
    stdout,
    output,
    socketPath: confined.socketPath,
    exited,
    strained,
    get isSpent() {
      return hasEnded || pipes?.closed !== undefined;
    },
    disconnected: pipes?.disconnected(forked.exited) ?? new Promise(() => {}),
    drained,
    stop: () => (ending ??= stop()),
    kill: () => kill(),
    isEnding: async (port) =>
      hasEnded ||
      (await isChildEnding({
        leader: pid,
        port,
        hasClosedPipe: pipes?.closed !== undefined,
        hasOwnNetwork: confined.socketPath !== null,
        listenersOn: (at) => running.listenersOn(at),
        members: pids,
      })),
    listenersOn: async (port) =>
      // Its network has nobody else in it.
      confined.socketPath === null
        ? await listenersOn(port, pid, pids)
        : { ours: ["127.0.0.1"], foreign: [] },
    cpuLoad: () => kept.cpuLoad(),
    onBusy: (tell) => kept.onBusy(tell),
    rssBytes: async () => {
      const bytes = kept.cgroup?.memoryBytes() ?? (await resident());
      return bytes === 0 ? null : bytes;
    },
  };
  try {
    kept.spawned(pid, {
      membersOf: (table) => tree.membersOf(table),
      files,
      isCountedAlone: isCountedAlone(spec.confinement),
      onOver: () => void kill(),
      onStrain: strain,
    });
    await confined.spawned(forked);
  } catch (error) {
    // One that the next life could not know of must not run.
    await running.kill();
    throw error instanceof SupervisorError ? error : refusal(spec, found.file, error);
  }
  return running;
}

function signsOf({ cgroup, mark }: ChildControl, { confinement: { level } }: RunSpec): TreeSigns {
  // A sandbox ends as a whole, and another account's process cannot leave its cgroup; the daemon's own can.
  const isSure = level === "sandbox" || (level === "user" && cgroup !== undefined);
  return { cgroup, mark: isSure ? undefined : mark, isWrapped: level === "sandbox" };
}

interface Started {
  confined: Confined;
  forked: Forked;
  /** See `holdAccount`. */
  releaseAccount: () => Promise<void>;
}

async function forkConfined(spec: RunSpec, file: string, kept: ChildControl): Promise<Started> {
  const { confinement } = spec;
  let confined: Confined | undefined;
  const uid = confinement.level === "user" ? confinement.uid : undefined;
  const releaseAccount = await holdAccount(uid);
  try {
    const forks = await forkServer();
    confined = await confine(spec, file, forks);
    const forked = await forks.fork({
      argv: kept.wrap(confined.argv),
      cwd: spec.cwd,
      env: { ...spec.env, ...kept.env },
      stdio: ["pipe", "pipe", "pipe", ...confined.descriptors],
      entrance: confined.entrance,
    });
    return { confined, forked, releaseAccount };
  } catch (error) {
    kept.release();
    confined?.release();
    await releaseAccount();
    throw error instanceof SupervisorError ? error : refusal(spec, file, error);
  }
}

/** A wrapper tells of the signal that ended the child as a shell does. */
function unwrapped(
  code: number | null,
  signal: NodeJS.Signals | null,
): Pick<Exit, "code" | "signal"> {
  const number = (code ?? 0) - 128;
  const [name] = Object.entries(constants.signals).find(([, value]) => value === number) ?? [];
  return name === undefined ? { code, signal } : { code: null, signal: name as NodeJS.Signals };
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
};

function refusal(spec: RunSpec, file: string, cause: unknown): SupervisorError {
  const code = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
  const shortage = shortageOf(cause, "could not be started");
  if (shortage) return shortage;
  // The system says ENOENT for a missing folder too.
  const isFolder = statSync(spec.cwd, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const why = isFolder
    ? (REFUSALS[code] ?? `the system refused it (${code})`)
    : "its folder does not exist";
  // Paths are for the admin: the message may reach a client.
  const details = [isFolder ? `program: ${file}` : `folder: ${spec.cwd}`];
  return new SupervisorError("INSTANCE_SPAWN_FAILED", `could not be started: ${why}`, {
    cause,
    details,
  });
}
