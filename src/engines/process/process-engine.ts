import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { SupervisorError, shortageOf, toSupervisorError } from "../../errors.ts";
import { holdAccount } from "./accounts.ts";
import { childSpec } from "./child-spec.ts";
import { meterIdleCores } from "./idle-cores.ts";
import { Ports } from "./ports.ts";
import { preparePrivateHome, removeLeftTmp, removeTmp } from "./private-home.ts";
import { openProcessTrees } from "./process-trees.ts";
import type { ChildServer, Config } from "../../config/config.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { Capacity, EndedLeft, Endpoint, Engine, Exit, Left, Running } from "../engine.ts";
import type { StartOptions, Workload } from "../engine.ts";
import type { Controller } from "./cgroup.ts";
import type { ProcessName } from "./child-journal.ts";
import type { Level } from "./confinement.ts";
import type { Box, Isolation } from "./isolation.ts";
import type { PrivateHome } from "./private-home.ts";
import { TokenFile, tokenFolders } from "./token-file.ts";
import type { ProcessTree } from "./process-tree.ts";
import type { ProcessTrees } from "./process-trees.ts";

export interface ProcessEngineOptions {
  config: Pick<Config, "dataDir" | "ports" | "stopTimeoutMs">;
  isolation: Isolation;
  log: Logger;
  trees: ProcessTrees;
}

const CORES = availableParallelism();

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };
type ChildWorkload = Workload<ChildServer>;

/** What a child has for itself beside its processes. */
interface Holdings {
  box: Box;
  port: number | null;
  home: PrivateHome;
  tokenFile: TokenFile | undefined;
}

/** Children that are processes of this machine, in the isolation that their servers ask for. */
export class ProcessEngine implements Engine<ChildServer> {
  readonly #options: ProcessEngineOptions;
  readonly #ports: Ports;
  readonly #cleaning: Promise<void>;

  constructor(options: ProcessEngineOptions) {
    const { config, log } = options;
    this.#options = options;
    this.#ports = new Ports(config.ports);
    // No child is left that could read them.
    rmSync(tokenFolders(config.dataDir), { recursive: true, force: true });
    this.#cleaning = removeLeftTmp(config.dataDir).catch((err: unknown) => {
      log.error({ err }, "temporary files that an earlier daemon left could not be deleted");
    });
  }

  /** What the kernel limits for us; nothing without a delegated cgroup. */
  get controllers(): ReadonlySet<Controller> {
    return this.#options.trees.controllers;
  }

  /** A cgroup was delegated, and could not be made use of. */
  get delegationFailure(): Error | undefined {
    return this.#options.trees.delegationFailure;
  }

  readonly capacity: Capacity = { starts: CORES, spare: meterIdleCores(CORES) };

  levelOf(def: ChildServer): Level | null {
    return this.#options.isolation.findLevel(def) ?? null;
  }

  get level(): Level {
    return this.#options.isolation.level;
  }

  forgetUser(user: string): void {
    this.#options.isolation.releaseUids(user);
  }

  async start(workload: ChildWorkload, options: StartOptions): Promise<Running> {
    const { ref, def } = workload;
    const box = this.#options.isolation.boxFor(ref, def);
    const isOnPort = def.transport !== "stdio" && box.privatePort === null;
    const port = isOnPort ? await this.#ports.take(ref) : box.privatePort;
    try {
      // What is done with its rights before it runs must not be ended with the account's last child.
      const release = await holdAccount(box.level === "user" ? box.owner : undefined);
      try {
        const home = await this.#prepareHome(workload, box);
        const tokenFile = await this.#writeToken(workload, box, home);
        const holdings = { box, port, home, tokenFile };
        const tree = await this.#startAt(holdings, workload, options);
        return this.#running(tree, workload, holdings);
      } finally {
        await release();
      }
    } catch (error) {
      if (port !== null) this.#ports.release(port);
      throw error;
    }
  }

  /** A process cannot be given new pipes, and so is never adopted. */
  async findLeft(): Promise<Left[]> {
    return (await this.#options.trees.findLeft()).map(leftOf);
  }

  async endLeft(): Promise<EndedLeft & { left: (Left & ProcessName)[] }> {
    const { count, left } = await this.#options.trees.endLeft();
    return { count, left: left.map(leftOf) };
  }

  killAll(): void {
    this.#options.trees.killAll();
  }

  async close(): Promise<void> {
    await this.#cleaning;
    await this.#options.trees.close();
    rmSync(tokenFolders(this.#options.config.dataDir), { recursive: true, force: true });
  }

  /** The file of a child that gets its token in one. */
  async #writeToken(
    { ref, def, token }: ChildWorkload,
    { owner }: Box,
    { tmp }: PrivateHome,
  ): Promise<TokenFile | undefined> {
    if (!def.tokenFile || token === undefined) return undefined;
    try {
      return new TokenFile(tokenFolders(this.#options.config.dataDir), token, owner);
    } catch (cause) {
      await removeTmp(tmp);
      const what = `${ref.user}/${ref.server}: the file with the token could not be written`;
      const failure = new SupervisorError("INSTANCE_SPAWN_FAILED", what, { cause });
      throw shortageOf(cause, what) ?? failure;
    }
  }

  async #prepareHome({ ref }: ChildWorkload, { owner }: Box): Promise<PrivateHome> {
    try {
      return await preparePrivateHome(this.#options.config.dataDir, ref, owner);
    } catch (cause) {
      const what = `${ref.user}/${ref.server}: its private home could not be prepared`;
      const code = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
      const failure = new SupervisorError("INSTANCE_SPAWN_FAILED", `${what} (${code})`, { cause });
      throw shortageOf(cause, what) ?? failure;
    }
  }

  async #startAt(
    { box, port, home, tokenFile }: Holdings,
    workload: ChildWorkload,
    { signal, onLine }: StartOptions,
  ): Promise<ProcessTree> {
    const { ref } = workload;
    const { trees, config } = this.#options;
    const { stopTimeoutMs } = config;
    const tokenFolder = tokenFile?.folder;
    const confinement = box.confinement(home, port, tokenFolder);
    const file = tokenFile?.file;
    const place = { port: port ?? undefined, home, confinement, stopTimeoutMs, tokenFile: file };
    try {
      signal.throwIfAborted();
      return await trees.start(childSpec({ ...workload, ...place }), onLine);
    } catch (cause) {
      await removeTmp(home.tmp);
      tokenFile?.remove();
      if (signal.aborted) throw cause;
      const { code, message, details, retryAfterSeconds } = toSupervisorError(cause);
      const options = { cause, details, retryAfterSeconds };
      throw new SupervisorError(code, `${ref.user}/${ref.server}: the child ${message}`, options);
    }
  }

  #running(tree: ProcessTree, { ref, def }: ChildWorkload, holdings: Holdings): Running {
    const { port, home, tokenFile } = holdings;
    let freed: Promise<void> | undefined;
    const free = async (): Promise<void> => {
      tokenFile?.remove();
      await removeTmp(home.tmp);
      if (port !== null) this.#ports.release(port);
    };
    const after = async (ending: Promise<Exit>): Promise<Exit> => {
      const exit = await ending;
      await (freed ??= free());
      return exit;
    };
    const { pid, output, socketPath, exited, disconnected, strained, drained } = tree;
    const endpoint: Endpoint =
      def.transport === "stdio" || port === null
        ? { kind: "pipes", stdin: tree.stdin, stdout: tree.stdout }
        : { kind: "port", port, socketPath, isPinned: this.#ports.pinOf(ref) !== undefined };
    const running: Mutable<Running> = {
      endpoint,
      pid,
      place: null,
      output,
      exited,
      disconnected,
      strained,
      drained,
      isSpent: false,
      stop: () => after(tree.stop()),
      kill: () => after(tree.kill()),
      isGone: () => tree.isGone,
      isEnding: () => tree.isEnding(port),
      listeners: async () =>
        port === null ? { ours: [], foreign: [] } : await tree.awaitedListenersOn(port),
      cpuLoad: () => tree.cpuLoad(),
      onBusy: (tell) => tree.onBusy(tell),
      rssBytes: () => tree.rssBytes(),
      ...(tokenFile !== undefined && { replaceToken: (token) => replaceIn(tokenFile, token) }),
    };
    // Told, and not asked: whoever has a message for it looks each time.
    tree.onSpent(() => (running.isSpent = true));
    return running;
  }
}

/** Throws where there is no token to put there: another child goes without the file. */
function replaceIn(tokenFile: TokenFile, token: string | undefined): void {
  if (token === undefined) throw new SupervisorError("TOKEN_MISSING", "no token is set");
  tokenFile.replace(token);
}

const leftOf = (name: ProcessName): Left & ProcessName => ({ ...name, place: `pid ${name.pid}` });

/** The engine of a daemon whose data folder is locked by it. Starts nothing before `endLeft`. */
export async function openProcessEngine(
  options: Omit<ProcessEngineOptions, "trees">,
): Promise<ProcessEngine> {
  const { config, isolation } = options;
  const trees = await openProcessTrees(config.dataDir, isolation.accounts());
  return new ProcessEngine({ ...options, trees });
}
