/** Room: catalog. Which servers there are. In: those of each origin, at the start and at each change. Out: one by its name, or all, where one is from, and which of them a user may use. Never sees a user's secret, a child or a request. */
import type { Config, ServerDef } from "../config/config.ts";

/** Where servers are from: the config file, the control API, variables of the environment. In this order they are listed. */
const ORIGINS = ["config", "environment", "rest"] as const;
export type Origin = (typeof ORIGINS)[number];

/** Servers of all other origins are open to all users. */
const GRANTED: Origin = "rest";

/** Who may use what is not open to all; asked at every request. */
interface Grants {
  mayUse(user: string, server: string): boolean;
}

/** For who asks which servers there are, and has no say in it. */
export type Servers = Pick<Catalog, "find" | "list">;

/** By name, what nobody can use; null where its origin keeps for itself what it is. */
export type Disabled = Readonly<Record<string, ServerDef | null>>;

/** What one origin has. */
interface ServerSet {
  readonly servers: ReadonlyMap<string, ServerDef>;
  readonly disabled: ReadonlyMap<string, ServerDef | null>;
}

const NONE: ServerSet = { servers: new Map(), disabled: new Map() };

/** Nobody else keeps servers: what asks here sees a change at once. */
export class Catalog {
  readonly #sets = new Map<Origin, ServerSet>();
  /** Of all origins. */
  #servers: ReadonlyMap<string, ServerDef> = NONE.servers;
  #grants: Grants = { mayUse: () => false };

  /** Begins with those of the config, and of the environment. */
  constructor(
    servers: Config["servers"] = {},
    disabled: Disabled = {},
    environment: Config["environment"] = {},
  ) {
    this.replace("config", servers, disabled);
    this.replace("environment", environment);
  }

  /** The server that has this name and is not disabled. */
  find(name: string): ServerDef | undefined {
    return this.#servers.get(name);
  }

  /** As `find`, where the user may use it; to everybody else it is as if it were not there. */
  findFor(user: string, name: string): ServerDef | undefined {
    const server = this.#servers.get(name);
    return server !== undefined && this.#isFor(user, name) ? server : undefined;
  }

  /** As `list`, those that the user may use. */
  listFor(user: string): ServerDef[] {
    return this.list().filter(({ name }) => this.#isFor(user, name));
  }

  /** Whether users need a grant for what has this name, disabled or not; undefined where nothing has. */
  needsGrant(name: string): boolean | undefined {
    const origin = this.originOf(name);
    return origin === undefined ? undefined : origin === GRANTED;
  }

  /** All that are taken, those of disabled servers too. */
  names(): string[] {
    return ORIGINS.flatMap((origin) => {
      const { servers, disabled } = this.#setOf(origin);
      return [...servers.keys(), ...disabled.keys()];
    });
  }

  /** From here on these grants are in force; before that, nothing is granted to anybody. */
  askGrants(grants: Grants): void {
    this.#grants = grants;
  }

  /** By origin, and in the order in which each has them. */
  list(): ServerDef[] {
    return [...this.#servers.values()];
  }

  /** Those that one origin has. */
  listOf(origin: Origin): ServerDef[] {
    return [...this.#setOf(origin).servers.values()];
  }

  /** Those of one origin that are disabled, as far as they are known here. */
  disabledOf(origin: Origin): ServerDef[] {
    return [...this.#setOf(origin).disabled.values()].filter((def) => def !== null);
  }

  /** As `listOf`, by name. */
  serversOf(origin: Origin): Config["servers"] {
    return Object.fromEntries(this.#setOf(origin).servers);
  }

  /** Who has the name, for a disabled server too; undefined where it is free. */
  originOf(name: string): Origin | undefined {
    return ORIGINS.find((origin) => {
      const { servers, disabled } = this.#setOf(origin);
      return servers.has(name) || disabled.has(name);
    });
  }

  /** Those of the names that another origin has, with which: a set with them cannot be the next one of this origin. */
  takenFrom(origin: Origin, names: readonly string[]): { name: string; by: Origin }[] {
    return names.flatMap((name) => {
      const by = this.originOf(name);
      return by === undefined || by === origin ? [] : [{ name, by }];
    });
  }

  /** All servers, as they would be were these the next ones of their origins. */
  listWith(next: Partial<Record<Origin, Config["servers"]>>): ServerDef[] {
    return ORIGINS.flatMap((origin) => Object.values(next[origin] ?? this.serversOf(origin)));
  }

  /**
   * From here on these are the servers of that origin. Those that are `disabled` nobody can use, and
   * they have their names still. The names must be free of other origins, see `takenFrom`.
   */
  replace(origin: Origin, servers: Config["servers"], disabled: Disabled = {}): void {
    const all = this.listWith({ [origin]: servers });
    const own = new Map(Object.entries(servers));
    this.#sets.set(origin, { servers: own, disabled: new Map(Object.entries(disabled)) });
    this.#servers = new Map(all.map((def) => [def.name, def]));
  }

  #isFor(user: string, name: string): boolean {
    return !this.#setOf(GRANTED).servers.has(name) || this.#grants.mayUse(user, name);
  }

  #setOf(origin: Origin): ServerSet {
    return this.#sets.get(origin) ?? NONE;
  }
}
