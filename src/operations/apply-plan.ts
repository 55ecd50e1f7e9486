import { asGrantee, granteeOf, meant } from "../auth/access.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { ALL } from "../config/apply-schema.ts";
import type { Wanted, WantedUser } from "../config/apply-schema.ts";
import type { Store, UserRow } from "../store/store.ts";

/** One thing that an apply changes. `to` is a user, `@` and a group, or `@all`. */
export type Change =
  | { change: "add-user" | "set-user" | "enable-user" | "disable-user"; user: string }
  | { change: "add-group" | "remove-group"; group: string }
  | { change: "add-member"; group: string; user: string }
  | { change: "remove-member"; group: string; user: string }
  | { change: "grant" | "ungrant"; to: string; server: string };

export interface Plan {
  /** In an order in which they can be made. */
  changes: Change[];
  /** Servers that the file grants and that are open to all. */
  open: string[];
  /** What cannot be as it is wanted, as `users[3].groups[0]: …`. */
  problems: string[];
}

export interface PlanParts {
  store: Pick<Store, "users" | "access">;
  catalog: Pick<Catalog, "needsGrant" | "names">;
}

/** So many names of what is there are looked through in all for what was meant: in under twenty milliseconds. */
const COMPARED = 5_000;

/** What is there, by name. */
interface Present {
  users: Map<string, UserRow>;
  groups: Map<string, { isApplied: boolean }>;
  /** `group user`, with whether an apply made it; no name holds a blank. */
  members: Map<string, boolean>;
  /** `to server`. */
  grants: Map<string, boolean>;
}

function present({ store }: PlanParts): Present {
  const { users, access } = store;
  const groups = access.groups();
  const nameOf = new Map(groups.map(({ id, name }) => [id, name]));
  return {
    users: new Map(users.list().map((row) => [row.name, row])),
    groups: new Map(groups.map(({ name, applied }) => [name, { isApplied: applied === 1 }])),
    members: new Map(
      access.members().map((row) => [`${nameOf.get(row.groupId)} ${row.user}`, row.applied === 1]),
    ),
    grants: new Map(
      access.grants().map((row) => [`${granteeOf(row)} ${row.server}`, row.applied === 1]),
    ),
  };
}

/**
 * What has to change so that all is as wanted; with `prune`, what an apply made and nobody wants any
 * more goes. Changes nothing itself.
 */
export function planOf(parts: PlanParts, wanted: Wanted, prune: boolean): Plan {
  const now = present(parts);
  const names = namesThere(now, wanted, prune);
  const finder = new Finder(parts, names);
  const members = finder.members(wanted);
  const grants = finder.grants(wanted);
  const added: Change[] = [
    ...wanted.users.flatMap((user) => changesOf(user, now.users.get(user.name))),
    ...wanted.groups.flatMap(({ name }): Change[] =>
      now.groups.has(name) || name === ALL ? [] : [{ change: "add-group", group: name }],
    ),
    ...lacking(members, now.members).map(([group, user]): Change => ({
      change: "add-member",
      group,
      user,
    })),
    ...lacking(grants, now.grants).map(([to, server]): Change => ({ change: "grant", to, server })),
  ];
  const removed = prune ? pruned(now, wanted, { members, grants }) : [];
  const removing = wanted.users.flatMap(({ name }, at) =>
    now.users.get(name)?.state === "removing"
      ? [`users[${at}].name: the user of that name is still being removed`]
      : [],
  );
  const problems = [...finder.problems, ...removing];
  return { changes: [...added, ...removed], open: [...finder.open].toSorted(), problems };
}

interface Names {
  users: ReadonlySet<string>;
  groups: ReadonlySet<string>;
}

/** The users and groups that are there afterwards; with `prune` none that an apply made and the file leaves out. */
function namesThere(now: Present, { users, groups }: Wanted, prune: boolean): Names {
  const keptUsers = [...now.users.values()].filter(
    ({ state, applied }) => state !== "removing" && !(prune && applied !== null),
  );
  const keptGroups = [...now.groups].filter(([, { isApplied }]) => !(prune && isApplied));
  return {
    users: new Set([...keptUsers, ...users].map(({ name }) => name)),
    groups: new Set([...keptGroups.map(([name]) => name), ...groups.map(({ name }) => name)]),
  };
}

/** Reads what the file says of names, and notes those that name nothing. */
class Finder {
  readonly problems: string[] = [];
  readonly open = new Set<string>();
  readonly #catalog: PlanParts["catalog"];
  readonly #names: Names;
  #toCompare = COMPARED;

  constructor({ catalog }: PlanParts, names: Names) {
    this.#catalog = catalog;
    this.#names = names;
  }

  /** `group user` of all memberships. */
  members({ users, groups }: Wanted): Set<string> {
    return new Set([
      ...users.flatMap(({ name, groups: own }, at) =>
        this.#known("groups", own, `users[${at}].groups`).map((group) => `${group} ${name}`),
      ),
      ...groups.flatMap(({ name, members }, at) =>
        this.#known("users", members, `groups[${at}].members`).map((user) => `${name} ${user}`),
      ),
    ]);
  }

  /** `to server` of all grants that are needed. */
  grants({ users, groups }: Wanted): Set<string> {
    return new Set([
      ...users.flatMap(({ name, servers }, at) =>
        this.#granted(servers, `users[${at}].servers`).map((server) => `${name} ${server}`),
      ),
      ...groups.flatMap(({ name, servers }, at) =>
        this.#granted(servers, `groups[${at}].servers`).map(
          (server) => `${asGrantee(name)} ${server}`,
        ),
      ),
    ]);
  }

  #known(kind: "users" | "groups", names: readonly string[], place: string): string[] {
    const known = this.#names[kind];
    const what = kind === "users" ? "user" : "group";
    return names.filter((name, at) => {
      if (known.has(name)) return true;
      this.#lacks(`${place}[${at}]: there is no ${what} ${name}`, name, known);
      return false;
    });
  }

  #lacks(what: string, name: string, known: ReadonlySet<string>): void {
    const isLeft = known.size <= this.#toCompare;
    if (isLeft) this.#toCompare -= known.size;
    this.problems.push(`${what}${isLeft ? meant(name, [...known]) : ""}`);
  }

  #granted(servers: readonly string[], place: string): string[] {
    return servers.filter((server, at) => {
      const isNeeded = this.#catalog.needsGrant(server);
      if (isNeeded === undefined)
        this.#lacks(
          `${place}[${at}]: there is no server ${server}`,
          server,
          new Set(this.#catalog.names()),
        );
      else if (!isNeeded) this.open.add(server);
      return isNeeded === true;
    });
  }
}

/** One who was disabled because a file left them out is enabled by the next that does not. */
function changesOf(wanted: WantedUser, row: UserRow | undefined): Change[] {
  const { name: user, disabled } = wanted;
  if (row === undefined) {
    const off: Change[] = disabled === true ? [{ change: "disable-user", user }] : [];
    return [{ change: "add-user", user }, ...off];
  }
  const { displayName = row.fullName, email = row.email } = wanted;
  const isOther = displayName !== row.fullName || email !== row.email;
  const isOff = disabled ?? (row.applied === "pruned" ? false : row.state === "disabled");
  const changes: Change[] = isOther ? [{ change: "set-user", user }] : [];
  if (isOff && row.state === "enabled") changes.push({ change: "disable-user", user });
  if (!isOff && row.state === "disabled") changes.push({ change: "enable-user", user });
  return changes;
}

function pruned(
  now: Present,
  wanted: Wanted,
  { members, grants }: { members: ReadonlySet<string>; grants: ReadonlySet<string> },
): Change[] {
  const groups = new Set(wanted.groups.map(({ name }) => name));
  const users = new Set(wanted.users.map(({ name }) => name));
  const gone = new Set(
    [...now.groups].flatMap(([name, { isApplied }]) =>
      isApplied && !groups.has(name) ? [name] : [],
    ),
  );
  const takenAlong = new Set([...gone].map(asGrantee));
  return [
    ...surplus(now.grants, grants)
      .filter(([to]) => !takenAlong.has(to))
      .map(([to, server]): Change => ({ change: "ungrant", to, server })),
    ...surplus(now.members, members)
      .filter(([group]) => !gone.has(group))
      .map(([group, user]): Change => ({ change: "remove-member", group, user })),
    ...[...gone].map((group): Change => ({ change: "remove-group", group })),
    ...[...now.users.values()].flatMap(({ name: user, state, applied }): Change[] =>
      applied !== null && state === "enabled" && !users.has(user)
        ? [{ change: "disable-user", user }]
        : [],
    ),
  ];
}

const pairOf = (pair: string): [string, string] => pair.split(" ") as [string, string];

const lacking = (wanted: ReadonlySet<string>, now: ReadonlyMap<string, boolean>) =>
  [...wanted].filter((pair) => !now.has(pair)).map(pairOf);

/** What an apply made and is not wanted. */
const surplus = (now: ReadonlyMap<string, boolean>, wanted: ReadonlySet<string>) =>
  [...now].flatMap(([pair, isApplied]) => (isApplied && !wanted.has(pair) ? [pairOf(pair)] : []));
