import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { SupervisorError } from "../../errors.ts";
import { installsFolder } from "../../platform/installs-folder.ts";
import { NOBODY } from "./confinement.ts";
import { remedyLine } from "./lacks.ts";
import type { Lack } from "./lacks.ts";
import { UNTRIED, chooseLevel, isRoot, openWayToHomes } from "./levels.ts";
import { probeMachine } from "./levels.ts";
import { Uids } from "./uids.ts";
import { warningsOf } from "../../config/warnings.ts";
import type { Servers } from "../../catalog/catalog.ts";
import type { ChildServer, Config, ServerDef } from "../../config/config.ts";
import { secretFilesOf } from "../../config/secret-files.ts";
import type { Confinement, Level } from "./confinement.ts";
import type { Choice, Machine } from "./levels.ts";
import type { Store } from "../../store/store.ts";
import type { Ref } from "../engine.ts";
import type { PrivateHome } from "./private-home.ts";

const STRENGTH: Record<Level, number> = { none: 0, user: 1, sandbox: 2 };
const recordOf = (server: string) => `isolation ${server}`;
const IN_WRITING =
  'what remains is no isolation: "isolation": "none" in the config, in writing, lets children read each other\'s tokens';

/** Sockets and small files for sandboxes; the name is short because a socket's path must be. */
const SOCKET_FOLDER = "run";

export interface Box {
  level: Level;
  /** Who owns the private home; undefined for the daemon's own account. */
  owner: number | undefined;
  /** The port that the child listens on in a network of its own; null where it has to take one of this machine's. */
  privatePort: number | null;
  /** `tokenFolder` has the child's token in it, if it gets that as a file: a folder, because another file takes its name. */
  confinement: (folders: PrivateHome, port: number | null, tokenFolder?: string) => Confinement;
}

/** What stands around each child: the level in force for its server, and all that belongs to it. */
export class Isolation {
  readonly #config: Config;
  readonly #servers: Pick<Servers, "list">;
  readonly #store: Store | undefined;
  readonly #uids: Uids | undefined;
  readonly #socketDir: string;
  #machine: Machine;

  constructor(
    config: Config,
    machine: Machine = UNTRIED,
    store?: Store,
    servers?: Pick<Servers, "list">,
  ) {
    this.#config = config;
    this.#servers = servers ?? { list: () => Object.values(config.servers) };
    this.#machine = machine;
    this.#store = store;
    this.#socketDir = path.join(config.dataDir, SOCKET_FOLDER);
    if (store && config.uids && isRoot()) this.#uids = new Uids(store, config.uids);
  }

  /** What this machine lacks for each level; UNTRIED while nobody asked for any. */
  get machine(): Machine {
    return this.#machine;
  }

  /**
   * Finds out what works here, once there is a server that asks for any isolation, and settles the
   * levels of these; `isolation` is what the config says for all. Rejects with ISOLATION_UNAVAILABLE,
   * and has then changed nothing.
   */
  async settleAll(
    servers: readonly ServerDef[],
    { isolation }: Pick<Config, "isolation"> = this.#config,
  ): Promise<void> {
    const asked = [{ isolation }, ...servers].some(
      (it) => "isolation" in it && it.isolation !== "none",
    );
    if (asked && this.#machine === UNTRIED) {
      mkdirSync(this.#socketDir, { mode: 0o700, recursive: true });
      const { uids, dataDir } = this.#config;
      this.#machine = await probeMachine({ uids, dataDir, socketDir: this.#socketDir });
    }
    this.settle(servers);
  }

  /**
   * The level in force for this server. Rejects with ISOLATION_UNAVAILABLE, whose details say what
   * to install or switch on.
   */
  levelOf(def: ChildServer): Level {
    const choice = chooseLevel(this.#machine, def);
    if (choice.level !== undefined) return choice.level;
    const what = def.isolation === "auto" ? "no isolation" : `isolation "${def.isolation}"`;
    throw new SupervisorError("ISOLATION_UNAVAILABLE", `${what} can be had here for ${def.name}`, {
      details: [...choice.missing, ...remedyLine(choice.lacks), IN_WRITING],
    });
  }

  /** What an admin should know of a config, by the levels that its servers get; a line each. */
  warningsOf(config: Pick<Config, "servers" | "warnings">): string[] {
    return warningsOf(config, (def) => this.levelOf(def) === "sandbox");
  }

  /** As `levelOf`; undefined where there is none to be had. */
  findLevel(def: ChildServer): Level | undefined {
    return chooseLevel(this.#machine, def).level;
  }

  /** The level in the config, or the weakest that its servers get by "auto". */
  get level(): Level {
    const { isolation } = this.#config;
    if (isolation !== "auto") return isolation;
    const levels = this.#servers.list().flatMap((def) => {
      if (def.kind !== "child" || def.isolation !== "auto") return [];
      return chooseLevel(this.#machine, def).level ?? [];
    });
    if (levels.length > 0) return levels.toSorted((a, b) => STRENGTH[a] - STRENGTH[b])[0]!;
    return chooseLevel(this.#machine, { isolation, network: "full" }).level ?? "none";
  }

  /**
   * Decides the level of each server and writes it down. Rejects with ISOLATION_UNAVAILABLE, whose
   * details name every server that cannot have its own, or would by "auto" get a weaker one than
   * last time: to be weaker is for the admin to say.
   */
  settle(servers: readonly ServerDef[]): void {
    const refusals: string[] = [];
    const missing = new Set<string>();
    const lacks: Lack[] = [];
    const note = (choice: Choice): void => {
      if (choice.level !== undefined) return;
      for (const line of choice.missing) missing.add(line);
      lacks.push(...choice.lacks);
    };
    const levels = new Map<string, Level>();
    for (const def of servers) {
      if (def.kind !== "child") continue;
      const choice = chooseLevel(this.#machine, def);
      if (choice.level === undefined) {
        refusals.push(`servers.${def.name}: "${def.isolation}" cannot be had`);
        note(choice);
        continue;
      }
      const last = this.#store?.meta.find(recordOf(def.name))?.toString() as Level | undefined;
      const isWeaker = last !== undefined && STRENGTH[choice.level] < STRENGTH[last];
      if (isWeaker && def.isolation === "auto") {
        refusals.push(
          `servers.${def.name}: ran at "${last}" last time, and "auto" gives "${choice.level}" now; write "isolation": "${choice.level}" if that is what you want`,
        );
        note(chooseLevel(this.#machine, { isolation: last, network: def.network }));
      }
      levels.set(def.name, choice.level);
    }
    if (refusals.length > 0) {
      throw new SupervisorError(
        "ISOLATION_UNAVAILABLE",
        "this machine does not give the isolation that the config asks for",
        { details: [...refusals, ...missing, ...remedyLine(lacks), IN_WRITING] },
      );
    }
    if ([...levels.values()].includes("user")) openWayToHomes(this.#config.dataDir);
    for (const [name, level] of levels) this.#store?.meta.set(recordOf(name), Buffer.from(level));
  }

  /** There is no such server any more: the next one of that name may have any level. */
  forget(server: string): void {
    this.#store?.meta.delete(recordOf(server));
  }

  /** What stands around this instance. Rejects with ISOLATION_UNAVAILABLE or INSTANCE_SPAWN_FAILED. */
  boxFor({ user, server }: Ref, def: ChildServer): Box {
    const level = this.levelOf(def);
    if (level === "none")
      return {
        level,
        owner: undefined,
        privatePort: null,
        confinement: () => ({ level: "none" }),
      };
    const uid = this.#uids?.of(user, server);
    if (level === "user")
      return {
        level,
        owner: uid,
        privatePort: null,
        confinement: () => ({ level: "user", uid: uid! }),
      };
    const account = isRoot() ? (uid ?? NOBODY) : null;
    return {
      level,
      owner: account ?? undefined,
      privatePort: def.transport === "stdio" ? null : privatePort(def, this.#config),
      confinement: ({ home, tmp }, port, tokenFolder) => ({
        level: "sandbox",
        uid: account,
        home,
        tmp,
        port,
        network: def.network,
        reach: def.reach,
        paths: def.paths,
        hidden: hiddenFiles(this.#config),
        shared: [
          installsFolder(this.#config.dataDir),
          ...(tokenFolder === undefined ? [] : [tokenFolder]),
        ],
        socketDir: this.#socketDir,
      }),
    };
  }

  /** The accounts that children of this data folder have, where the daemon can become them. */
  accounts(): ReadonlySet<number> {
    return new Set(this.#uids === undefined ? [] : this.#store?.uids.all());
  }

  /** The user is gone for good, and the homes too. */
  releaseUids(user: string): void {
    this.#store?.uids.deleteOf(user);
  }

  close(): void {
    rmSync(this.#socketDir, { recursive: true, force: true });
  }
}

/** In a network of its own any port is free but those that are carried in. */
function privatePort({ reach }: ChildServer, { ports }: Config): number {
  const FIRST = 8000;
  let port = FIRST;
  // Nor one of those that are shared out on this machine: it must not be given back there.
  while (reach.includes(port) || (port >= ports.from && port <= ports.to)) port++;
  return port;
}

/** What no child may ever see: keys, database, sockets, and the config, which may hold secrets of other servers. */
function hiddenFiles(config: Config): string[] {
  const { dataDir, keyFile, controlSocket, path: file } = config;
  const own = file === null ? [] : [file];
  return [dataDir, keyFile, controlSocket, ...own, ...secretFilesOf(config)];
}

/**
 * The isolation of a daemon, with the levels of its servers settled. Rejects with
 * ISOLATION_UNAVAILABLE. The data folder must be locked by this daemon.
 */
export async function openIsolation(
  config: Config,
  store: Store,
  servers: Pick<Servers, "list">,
): Promise<Isolation> {
  const isolation = new Isolation(config, UNTRIED, store, servers);
  // A daemon that was killed leaves its sockets.
  isolation.close();
  try {
    await isolation.settleAll(servers.list());
    return isolation;
  } catch (error) {
    isolation.close();
    throw error;
  }
}
