import type { Request, Router } from "express";
import type { User } from "../auth/registry.ts";
import { SupervisorError } from "../errors.ts";
import { mount, param } from "./answers.ts";
import {
  readBody,
  readBoolean,
  readEmail,
  readFlag,
  readInstant,
  readLabel,
  readToken,
  readUserName,
} from "./input.ts";
import type { InstanceRow } from "../instances/supervisor.ts";
import { privateHomes } from "../engines/process/private-home.ts";
import { diagnoseFrom } from "./diagnose.ts";
import type { ControlParts } from "./parts.ts";
import { addUser } from "../operations/add-user.ts";
import { createRemoval } from "../operations/removal.ts";
import { inviteOf } from "./invite-routes.ts";
import type {
  AddedUser,
  InvitedUser,
  ListedUser,
  ShownUser,
  Unreached,
  Urls,
  UserRow,
} from "./types.ts";
import { statusRows } from "./status.ts";
import { readSubject, requireUser } from "./subjects.ts";
import { personalUrls } from "../web/urls.ts";

const userRow = ({ name, state, createdAt, fullName, email }: User): UserRow => ({
  user: name,
  state,
  createdAt,
  name: fullName,
  email,
});

/** All users, with what an admin wants to see beside their names. */
function listUsers({ registry, supervisor }: ControlParts): ListedUser[] {
  const rows = Map.groupBy(supervisor.list(), ({ user }) => user);
  return registry.overview().map((user) => {
    const { keys, keyExpiresAt, tokens, tokenExpiresAt, tokenServers } = user;
    const own = rows.get(user.name) ?? [];
    const names = [...own.map(({ server }) => server), ...(tokenServers?.split(",") ?? [])];
    return {
      ...userRow(user),
      lastSeenAt: lastSeen(user.lastSeenAt, own),
      keys,
      keyExpiresAt,
      tokens,
      tokenExpiresAt,
      servers: [...new Set(names)].toSorted(),
    };
  });
}

/** Of what has just come the instances know more than the rows, which hold calls only. */
function lastSeen(stored: number | null, rows: readonly InstanceRow[]): number | null {
  const now = Date.now();
  const times = rows.flatMap(({ idleSeconds }) =>
    idleSeconds === null ? [] : [now - idleSeconds * 1000],
  );
  return times.length === 0 ? stored : Math.max(stored ?? 0, ...times);
}

const transportsOf = ({ catalog }: ControlParts, user: string): Urls["transports"] =>
  Object.fromEntries(catalog.listFor(user).map(({ name, transport }) => [name, transport]));

/** All that is known of a user, from one look at the processes. */
async function showUser(
  parts: ControlParts,
  name: string,
  withDoctor: boolean,
): Promise<ShownUser> {
  const { registry, tokens, supervisor, config, publicUrl } = parts;
  // In every state: an admin must be able to look at a removal that hangs.
  const user = registry.requireUser(name);
  const instances = await statusRows(supervisor, { user: name });
  return {
    ...userRow(user),
    groups: registry.access.of(name).groups,
    keys: registry.listKeys(name),
    identities: registry.listIdentities(name),
    tokens: tokens.show(name),
    urls: personalUrls(publicUrl, parts, name),
    transports: transportsOf(parts, name),
    instances,
    homes: await privateHomes(config.dataDir, name),
    ...(withDoctor && { doctor: diagnoseFrom(parts, user, instances) }),
  };
}

function addStateRoutes(
  router: Router,
  { registry, supervisor }: Pick<ControlParts, "registry" | "supervisor">,
): void {
  mount(router, "/users/:user/disable", {
    post: (req): { body: UserRow & Unreached } => {
      const { name } = requireUser(registry, param(req, "user"));
      const row = userRow(registry.disableUser(name));
      return { body: { ...row, mayLiveUntil: supervisor.mayLiveUntil(name) } };
    },
  });
  mount(router, "/users/:user/enable", {
    post: (req) => {
      const { name } = requireUser(registry, param(req, "user"));
      return { body: userRow(registry.enableUser(name)) };
    },
  });
}

export function addUserRoutes(router: Router, parts: ControlParts): void {
  const { registry, catalog, publicUrl } = parts;
  const remove = createRemoval(parts);

  const keyFor = (user: string): Pick<AddedUser, "key"> => {
    const { id, secret } = registry.issueKey(user);
    return { key: { id, secret } };
  };

  const add = (body: Record<string, unknown>): AddedUser | InvitedUser => {
    const token = body["token"] === undefined ? undefined : readToken(body["token"], "token");
    const tokenExpiresAt = readInstant(body["tokenExpiresAt"], "tokenExpiresAt");
    const name = readUserName(body["user"]);
    const about = { fullName: readLabel(body["name"], "name"), email: readEmail(body["email"]) };
    const isInvited = readBoolean(body["invite"], "invite");
    const entry = addUser(parts, { name, about, token, tokenExpiresAt }, (user) =>
      isInvited ? { invite: inviteOf(parts, user) } : keyFor(user),
    );
    return { user: name, ...entry, urls: personalUrls(publicUrl, parts, name) };
  };

  const urls = (req: Request): Urls => {
    const { user, server } = readSubject(parts, req);
    const rows = personalUrls(publicUrl, parts, user);
    if (server !== undefined && catalog.findFor(user, server) === undefined)
      throw new SupervisorError("SERVER_NOT_FOUND", "the server is not granted to this user");
    return {
      user,
      urls: rows.filter((row) => server === undefined || row.server === server),
      transports: transportsOf(parts, user),
    };
  };

  mount(router, "/users", {
    get: () => ({ body: { users: listUsers(parts) } }),
    post: (req) => ({
      status: 201,
      body: add(readBody(req, ["user", "name", "email", "token", "tokenExpiresAt", "invite"])),
    }),
  });
  mount(router, "/users/:user", {
    get: async (req) => ({
      body: await showUser(parts, param(req, "user"), readFlag(req, "doctor")),
    }),
    delete: async (req) => ({
      body: await remove(param(req, "user"), readFlag(req, "keepData")),
    }),
  });
  addStateRoutes(router, parts);
  mount(router, "/users/:user/urls", {
    get: (req) => ({ body: urls(req) }),
  });
}
