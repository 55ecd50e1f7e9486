import type { Connection, Query } from "./connection.ts";

/** `applied`: 1 where an apply made it, here and below. */
export interface GroupRow {
  id: number;
  name: string;
  applied: number;
}

export interface MemberRow {
  groupId: number;
  userId: number;
  user: string;
  applied: number;
}

/** A server with whom it is granted to: a user, a group, or everybody where both are null. */
export interface GrantedRow {
  server: string;
  userId: number | null;
  user: string | null;
  groupId: number | null;
  group: string | null;
  applied: number;
}

type To = Pick<GrantedRow, "userId" | "groupId">;

/** Rows of `user_groups`, `group_members` and `server_grants`: who may use which servers. */
export class AccessRows {
  readonly #groups: Query<GroupRow>;
  readonly #findGroup: Query<GroupRow>;
  readonly #insertGroup: Query<GroupRow>;
  readonly #deleteGroup: Query<never>;
  readonly #members: Query<MemberRow>;
  readonly #addMember: Query<never>;
  readonly #removeMember: Query<never>;
  readonly #grants: Query<GrantedRow>;
  readonly #grant: Query<never>;
  readonly #ungrant: Query<never>;
  readonly #deleteServer: Query<never>;
  readonly #serversOf: Query<{ server: string }>;
  readonly #serversOfAll: Query<{ server: string }>;

  constructor(db: Connection) {
    this.#groups = db.prepare("SELECT id, name, applied FROM user_groups ORDER BY name");
    this.#findGroup = db.prepare("SELECT id, name, applied FROM user_groups WHERE name = ?");
    this.#insertGroup = db.prepare(
      "INSERT INTO user_groups (name, applied) VALUES (?, ?) RETURNING id, name, applied",
    );
    this.#deleteGroup = db.prepare("DELETE FROM user_groups WHERE id = ?");
    this.#members = db.prepare(
      `SELECT group_id AS groupId, user_id AS userId, users.name AS user, group_members.applied
       FROM group_members JOIN users ON users.id = user_id ORDER BY users.name`,
    );
    this.#addMember = db.prepare(
      "INSERT OR IGNORE INTO group_members (group_id, user_id, applied) VALUES (?, ?, ?)",
    );
    this.#removeMember = db.prepare("DELETE FROM group_members WHERE group_id = ? AND user_id = ?");
    this.#grants = db.prepare(
      `SELECT server, user_id AS userId, users.name AS user, group_id AS groupId,
         user_groups.name AS "group", server_grants.applied
       FROM server_grants LEFT JOIN users ON users.id = user_id
         LEFT JOIN user_groups ON user_groups.id = group_id
       ORDER BY server, user_groups.name, users.name`,
    );
    this.#grant = db.prepare(
      "INSERT OR IGNORE INTO server_grants (server, user_id, group_id, applied) VALUES (?, ?, ?, ?)",
    );
    this.#ungrant = db.prepare(
      "DELETE FROM server_grants WHERE server = ? AND user_id IS ? AND group_id IS ?",
    );
    this.#deleteServer = db.prepare("DELETE FROM server_grants WHERE server = ?");
    this.#serversOf = db.prepare(
      `SELECT server FROM server_grants WHERE user_id = ?
       UNION SELECT server FROM group_members JOIN server_grants USING (group_id)
         WHERE group_members.user_id = ?`,
    );
    this.#serversOfAll = db.prepare(
      "SELECT server FROM server_grants WHERE user_id IS NULL AND group_id IS NULL",
    );
  }

  groups(): GroupRow[] {
    return this.#groups.all();
  }

  findGroup(name: string): GroupRow | undefined {
    return this.#findGroup.get(name);
  }

  /** The name must be free. */
  insertGroup(name: string, applied: boolean): GroupRow {
    return this.#insertGroup.get(name, Number(applied))!;
  }

  /** Takes its members and grants with it. */
  deleteGroup(id: number): void {
    this.#deleteGroup.run(id);
  }

  /** Those of all groups, in order of their names. */
  members(): MemberRow[] {
    return this.#members.all();
  }

  /** False where the user was a member; this and the next ones alike where nothing changed. */
  addMember(groupId: number, userId: number, applied: boolean): boolean {
    return this.#addMember.run(groupId, userId, Number(applied)) === 1;
  }

  removeMember(groupId: number, userId: number): boolean {
    return this.#removeMember.run(groupId, userId) === 1;
  }

  /** All there are. */
  grants(): GrantedRow[] {
    return this.#grants.all();
  }

  grant(server: string, { userId, groupId }: To, applied: boolean): boolean {
    return this.#grant.run(server, userId, groupId, Number(applied)) === 1;
  }

  ungrant(server: string, { userId, groupId }: To): boolean {
    return this.#ungrant.run(server, userId, groupId) === 1;
  }

  /** Nobody has that server any more. */
  deleteServer(server: string): void {
    this.#deleteServer.run(server);
  }

  /** Granted to the user by name, or to a group of theirs. */
  serversOf(userId: number): string[] {
    return this.#serversOf.all(userId, userId).map(({ server }) => server);
  }

  /** Granted to everybody. */
  serversOfAll(): string[] {
    return this.#serversOfAll.all().map(({ server }) => server);
  }
}
