import { constants } from "node:os";
import type { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { OutputShare } from "../../platform/output-share.ts";
import { DyingTree } from "./dying-tree.ts";
import { residentBytes } from "./held-memory.ts";
import { isChildEnding, isExiting } from "./is-ending.ts";
import { isCountedAlone } from "./limits.ts";
import { splitLines } from "./line-splitter.ts";
import { ListenerLook, listenersOn } from "./listeners.ts";
import { filesFor } from "./memory-files.ts";
import { MessagePipes } from "./message-pipes.ts";
import { glanceProcessTable } from "./process-table.ts";
import { sendSignal } from "./signal.ts";
import type { CpuLoad, Exit, LimitHit, Listeners, OnLine, PipeName } from "../engine.ts";
import type { Confined } from "./confine.ts";
import type { TreeSigns } from "./dying-tree.ts";
import type { Forked } from "./forks.ts";
import type { MemoryFiles } from "./memory-files.ts";
import type { ChildControl } from "./resource-control.ts";
import type { RunSpec } from "./run-spec.ts";

const LAST_WORDS_MS = 500;

// A daemon that ends by accident takes its children along, and what they started.
const leaders = new Map<number, ChildControl>();

/** SIGKILL to every tree of this process at once, without waiting. */
export function killAllTrees(): void {
  for (const [pid, { cgroup }] of leaders) {
    cgroup?.kill();
    sendSignal(-pid, "SIGKILL");
  }
}

/** A process that was started, with all that was prepared for it. */
export interface StartedProcess {
  readonly spec: RunSpec;
  readonly confined: Confined;
  readonly forked: Forked;
  readonly control: ChildControl;
  /** See `holdAccount`. */
  readonly releaseAccount: () => Promise<void>;
}

/** One process tree. Its leader is the child that was asked for; the group is everything it started. */
export class ProcessTree {
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** What it may write to both of its streams; whoever reads stdout counts into it. */
  readonly output = new OutputShare();
  /** The unix socket that leads to the child's port; null where that is a port of this machine. */
  readonly socketPath: string | null;
  /** The leader's end. Its group may outlive it. */
  readonly exited: Promise<Exit>;
  /** See `Running.strained`. */
  readonly strained: Promise<LimitHit>;
  /** Both output streams were read to their end; a grandchild that keeps them open holds this back. */
  readonly drained: Promise<void>;
  /** See `Running.disconnected`. */
  readonly disconnected: Promise<PipeName>;
  readonly #started: StartedProcess;
  readonly #stderr: Readable;
  readonly #tree: DyingTree;
  readonly #files: MemoryFiles;
  readonly #messages: MessagePipes | undefined;
  /** Until it is ready. */
  #look: ListenerLook | undefined;
  #hasEnded = false;
  #tellSpent = (): void => {};
  #strain!: (hit: LimitHit) => void;
  #stopping: Promise<Exit> | undefined;
  #killing: Promise<void> | undefined;

  constructor(started: StartedProcess, onLine: OnLine) {
    const { spec, confined, forked, control } = started;
    this.#started = started;
    this.pid = forked.pid;
    if (leaders.size === 0) process.once("exit", killAllTrees);
    leaders.set(this.pid, control);
    const [stdin, stdout, stderr] = forked.pipes as [Socket, Socket, Socket];
    this.stdin = stdin;
    this.stdout = stdout;
    this.#stderr = stderr;
    this.socketPath = confined.socketPath;
    this.#tree = new DyingTree(this.pid, signsOf(control, spec));
    this.#files = filesFor(spec.confinement);
    this.strained = new Promise((resolve) => (this.#strain = resolve));
    this.#readLines(onLine);
    this.drained = closed(stdout, stderr);
    this.exited = forked.exited.then((end) => this.#exitOf(end));
    const isSpokenTo = spec.stdout === "messages";
    this.#messages = isSpokenTo ? new MessagePipes(stdin, stdout) : undefined;
    this.disconnected = this.#messages?.disconnected(forked.exited) ?? new Promise(() => {});
  }

  /** Puts it under the watch over limits, and in writing. Rejects when that cannot be; then it must be killed. */
  async takeControl(): Promise<void> {
    const { spec, confined, forked, control } = this.#started;
    control.spawned(this.pid, {
      membersOf: (table) => this.#tree.membersOf(table),
      files: this.#files,
      isCountedAlone: isCountedAlone(spec.confinement),
      onOver: () => void this.kill(),
      onStrain: this.#strain,
    });
    await confined.spawned(forked);
  }

  /** Calls back, once or more, when nothing can be said to it any more: see `Running.isSpent`. */
  onSpent(tell: () => void): void {
    this.#tellSpent = tell;
    this.#messages?.onClosed(tell);
    if (this.#hasEnded || this.#messages?.closed !== undefined) tell();
  }

  /**
   * Closes stdin, then SIGTERM to the group, then SIGKILL, as the spec's times say.
   * Resolves when no process of the group is left. Safe to call more than once.
   */
  stop(): Promise<Exit> {
    return (this.#stopping ??= this.#stop());
  }

  /** SIGKILL to the group at once. Resolves when no process of the group is left. */
  async kill(): Promise<Exit> {
    const { control, releaseAccount } = this.#started;
    this.#killing ??= this.#tree.kill().then(releaseAccount);
    await this.#killing;
    control.release();
    return await this.#finish();
  }

  /** See `Running.isGone`. */
  get isGone(): boolean {
    return this.#hasEnded || isExiting(this.pid);
  }

  /** See `Running.isEnding`; `port` is where it listens, null where its pipes are all it has. */
  async isEnding(port: number | null): Promise<boolean> {
    if (this.#hasEnded) return true;
    return await isChildEnding({
      leader: this.pid,
      port,
      hasClosedPipe: this.#messages?.closed !== undefined,
      hasOwnNetwork: this.socketPath !== null,
      listenersOn: (at) => this.listenersOn(at),
      members: () => this.#pids(),
    });
  }

  /** Who listens on this port of the network the child sees, told apart into the child's tree and others. */
  async listenersOn(port: number): Promise<Listeners> {
    // Its network has nobody else in it.
    if (this.socketPath !== null) return { ours: ["127.0.0.1"], foreign: [] };
    return await listenersOn(port, this.pid, () => this.#pids());
  }

  /** See `Running.listeners`. */
  async awaitedListenersOn(port: number): Promise<Listeners> {
    this.#look ??= new ListenerLook(this.pid, () => this.listenersOn(port));
    return await this.#look.look();
  }

  /** See `Running.cpuLoad`. */
  cpuLoad(): CpuLoad | null {
    return this.#started.control.cpuLoad();
  }

  /** See `Running.onBusy`. */
  onBusy(tell: (load: CpuLoad) => void): void {
    this.#started.control.onBusy(tell);
  }

  /** See `Running.rssBytes`. */
  async rssBytes(): Promise<number | null> {
    const bytes = this.#started.control.cgroup?.memoryBytes() ?? (await this.#residentBytes());
    return bytes === 0 ? null : bytes;
  }

  #readLines(onLine: OnLine): void {
    const { spec, control } = this.#started;
    // EPIPE: the child closed its stdin or ended. Its end is told by `exited`.
    this.stdin.on("error", () => {});
    const broke = (): void => void this.kill();
    const onOutput = (line: string): void => onLine("stdout", line);
    if (spec.stdout === "lines") splitLines(this.stdout, onOutput, this.output, broke);
    const onError = (line: string): void => {
      control.heard(line);
      onLine("stderr", line);
    };
    splitLines(this.#stderr, onError, this.output, broke);
  }

  async #exitOf({ code, signal }: Pick<Exit, "code" | "signal">): Promise<Exit> {
    this.#hasEnded = true;
    this.#tellSpent();
    const { confined, control } = this.#started;
    const at = Date.now();
    // How its pipes have ended is there to be read by now, and is heard within this turn.
    await nextTurn();
    const end = confined.isWrapped ? unwrapped(code, signal) : { code, signal };
    return { ...end, at, limit: await control.limitBehind(end, this.drained) };
  }

  async #stop(): Promise<Exit> {
    const { eofGraceMs, stopTimeoutMs } = this.#started.spec;
    // Looked at before the first signal: strays are found only while their parents live.
    await this.#tree.survivors();
    this.stdin.end();
    const left = await this.#tree.gone(eofGraceMs, this.exited);
    if (left.length > 0) {
      this.#tree.signal(left, "SIGTERM");
      await this.#tree.gone(stopTimeoutMs, this.exited);
    }
    return await this.kill();
  }

  async #finish(): Promise<Exit> {
    const exit = await this.exited;
    this.#started.confined.release();
    leaders.delete(this.pid);
    if (leaders.size === 0) process.removeListener("exit", killAllTrees);
    void this.#hangUp();
    return exit;
  }

  async #hangUp(): Promise<void> {
    this.stdin.destroy();
    // The last words are in the pipes still. A stray that was not found may hold them open for ever.
    await Promise.race([this.drained, delay(LAST_WORDS_MS)]);
    this.stdout.destroy();
    this.#stderr.destroy();
  }

  /** Nothing known for the moment (no descriptor left, say) is asked again by whoever waits for it. */
  async #members() {
    return this.#tree.membersOf(await glanceProcessTable().catch(() => []));
  }

  async #pids(): Promise<number[]> {
    return (await this.#members()).map((entry) => entry.pid);
  }

  async #residentBytes(): Promise<number> {
    const [processes] = await Promise.all([this.#members(), this.#files.look()]);
    return residentBytes(processes, this.#files.of(processes));
  }
}

function signsOf({ cgroup, mark }: ChildControl, { confinement: { level } }: RunSpec): TreeSigns {
  // A sandbox ends as a whole, and another account's process cannot leave its cgroup; the daemon's own can.
  const isSure = level === "sandbox" || (level === "user" && cgroup !== undefined);
  return { cgroup, mark: isSure ? undefined : mark, isWrapped: level === "sandbox" };
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
