import { EventEmitter } from "node:events";
import { nearest } from "../config/nearest.ts";
import { SupervisorError } from "../errors.ts";
import { requireNewSlug } from "../platform/slug.ts";
import type { GrantedRow, GroupRow, Store, UserRow } from "../store/store.ts";

/** Whom a server may be granted to beside a user: `@` and the name of a group, or everybody. */
const GROUP_MARK = "@";
const EVERYBODY = "@all";

/** A group as it is shown, all in order of their names. */
export interface Group {
  name: string;
  members: string[];
  servers: string[];
}

/** A server that a user may use, and what it was granted to: the user, groups of theirs, everybody. */
export interface Granted {
  server: string;
  by: string[];
}

export interface AccessEvents {
  /** Emitted when it is on the disk and in force: somebody may not use one of these servers any more. */
  narrowed: [servers: ReadonlySet<string>];
}

type To = Pick<GrantedRow, "userId" | "groupId">;

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** The group as what a server is granted to. No group is called `all`: that is everybody. */
export const asGrantee = (group: string): string => `${GROUP_MARK}${group}`;

/** What a server is granted to, as it is written. */
export function granteeOf({ user, group }: Pick<GrantedRow, "user" | "group">): string {
  return user ?? (group === null ? EVERYBODY : asGrantee(group));
}

/** Who may use which servers of those that are not open to all. Every call may reject with STORE_FAILED, and has then changed nothing. */
export class Access {
  readonly events = new EventEmitter<AccessEvents>();
  readonly #store: Pick<Store, "access" | "users" | "transaction" | "afterwards">;
  /** Of users who asked, what is granted to them or to their groups. */
  readonly #servers = new Map<string, ReadonlySet<string>>();
  #ofAll: ReadonlySet<string> | undefined;

  constructor(store: Pick<Store, "access" | "users" | "transaction" | "afterwards">) {
    this.#store = store;
  }

  /** Whether the server is granted to the user. Two look-ups in memory, once the user has asked before. */
  mayUse(user: string, server: string): boolean {
    this.#ofAll ??= new Set(this.#store.access.serversOfAll());
    return this.#ofAll.has(server) || this.#serversOf(user).has(server);
  }

  /** Nothing that was known of the user holds for whoever is called so next. */
  forget(user: string): void {
    this.#servers.delete(user);
  }

  groups(): Group[] {
    const { access } = this.#store;
    const members = Map.groupBy(access.members(), ({ groupId }) => groupId);
    const grants = Map.groupBy(access.grants(), ({ groupId }) => groupId);
    return access.groups().map(({ id, name }) => ({
      name,
      members: (members.get(id) ?? []).map(({ user }) => user),
      servers: (grants.get(id) ?? []).map(({ server }) => server),
    }));
  }

  /** GROUP_NOT_FOUND, with the name that comes nearest. */
  requireGroup(name: string): Group {
    this.#requireGroup(name);
    return this.groups().find((group) => group.name === name)!;
  }

  /** What was granted to the user in any way, and the groups they are in. */
  of(user: string): { groups: string[]; granted: Granted[] } {
    const groups = this.groups()
      .filter(({ members }) => members.includes(user))
      .map(({ name }) => name);
    const own = new Set([user, EVERYBODY, ...groups.map(asGrantee)]);
    const found = this.#store.access.grants().filter((row) => own.has(granteeOf(row)));
    const granted = [...Map.groupBy(found, ({ server }) => server)].map(([server, rows]) => ({
      server,
      by: rows.map(granteeOf),
    }));
    return { groups, granted };
  }

  /**
   * Makes the group where it is not there, and the users its members. True where it was made.
   * REQUEST_INVALID for what is no slug and for `all`, USER_NOT_FOUND.
   */
  addGroup(name: string, users: readonly string[], isApplied = false): boolean {
    requireNewSlug("group", name);
    if (asGrantee(name) === EVERYBODY)
      throw invalid("the group all is everybody, and not to be made");
    return this.#store.transaction(() => {
      const found = this.#store.access.findGroup(name);
      const { id } = found ?? this.#store.access.insertGroup(name, isApplied);
      for (const user of users) {
        const { id: userId } = this.#requireUser(user);
        if (this.#store.access.addMember(id, userId, isApplied)) this.#servers.delete(user);
      }
      return found === undefined;
    });
  }

  /** Its members lose what was granted to it. GROUP_NOT_FOUND. */
  removeGroup(name: string): Group {
    const group = this.requireGroup(name);
    this.#store.access.deleteGroup(this.#requireGroup(name).id);
    this.#narrowed(group.servers);
    return group;
  }

  /** These lose what was granted to the group alone; resolves with those who were members. GROUP_NOT_FOUND, USER_NOT_FOUND. */
  removeMembers(name: string, users: readonly string[]): string[] {
    const { servers } = this.requireGroup(name);
    const { id } = this.#requireGroup(name);
    return this.#store.transaction(() => {
      const removed = users.filter((user) =>
        this.#store.access.removeMember(id, this.#requireUser(user).id),
      );
      this.#narrowed(servers);
      return removed;
    });
  }

  /** False where it was granted before. `to` is a user, `@` and a group, or EVERYBODY; USER_NOT_FOUND, GROUP_NOT_FOUND. */
  grant(to: string, server: string, isApplied = false): boolean {
    const isNew = this.#store.access.grant(server, this.#to(to), isApplied);
    if (isNew) this.#forgetAll();
    return isNew;
  }

  /** As `grant`; false where it was not granted. Who has it in another way too keeps it. */
  ungrant(to: string, server: string): boolean {
    const wasThere = this.#store.access.ungrant(server, this.#to(to));
    if (wasThere) this.#narrowed([server]);
    return wasThere;
  }

  /** The server is no more, and what comes under its name is another one. */
  serverGone(server: string): void {
    this.#store.access.deleteServer(server);
    this.#narrowed([server]);
  }

  #serversOf(user: string): ReadonlySet<string> {
    const known = this.#servers.get(user);
    if (known !== undefined) return known;
    const row = this.#store.users.find(user);
    if (row === undefined || row.state === "removing") return new Set();
    const servers = new Set(this.#store.access.serversOf(row.id));
    this.#servers.set(user, servers);
    return servers;
  }

  #narrowed(servers: readonly string[]): void {
    this.#forgetAll();
    if (servers.length > 0)
      this.#store.afterwards(() => this.events.emit("narrowed", new Set(servers)));
  }

  /** Changes are rare, and one look-up for each user who asks next is cheap. */
  #forgetAll(): void {
    this.#servers.clear();
    this.#ofAll = undefined;
  }

  #to(to: string): To {
    if (to === EVERYBODY) return { userId: null, groupId: null };
    if (to.startsWith(GROUP_MARK))
      return { userId: null, groupId: this.#requireGroup(to.slice(1)).id };
    return { userId: this.#requireUser(to).id, groupId: null };
  }

  #requireGroup(name: string): GroupRow {
    const found = this.#store.access.findGroup(name);
    if (found !== undefined) return found;
    const names = this.#store.access.groups().map((group) => group.name);
    throw new SupervisorError("GROUP_NOT_FOUND", `no such group${meant(name, names)}`);
  }

  #requireUser(name: string): UserRow {
    const row = this.#store.users.find(name);
    if (row !== undefined && row.state !== "removing") return row;
    const names = this.#store.users.list().map((user) => user.name);
    throw new SupervisorError("USER_NOT_FOUND", `no such user${meant(name, names)}`);
  }
}

/** The end of a sentence about a name that is not there; repeats nothing that was said. */
export function meant(name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  return near === undefined ? "" : `; did you mean ${near}?`;
}
