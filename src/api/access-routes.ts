import type { Request, Router } from "express";
import { asGrantee, meant } from "../auth/access.ts";
import type { Group } from "../auth/registry.ts";
import { SupervisorError } from "../errors.ts";
import { SLUG, SLUG_RULE } from "../platform/slug.ts";
import { isAbout } from "./admin-log.ts";
import { mount, param } from "./answers.ts";
import { readBody, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { requireUser } from "./subjects.ts";
import type { ChangedGrant, ChangedGroup, ChangedMember, UserAccess } from "./types.ts";

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** The server that an order about grants names; SERVER_NOT_FOUND, with the name that comes nearest. */
function serverOf({ catalog }: ControlParts, req: Request): { server: string; isOpen: boolean } {
  const server = readQuery(req, "server");
  if (server === undefined) throw invalid("server must be named in the query");
  const isNeeded = catalog.needsGrant(server);
  if (isNeeded !== undefined) return { server, isOpen: !isNeeded };
  const names = catalog.names();
  throw new SupervisorError("SERVER_NOT_FOUND", `no such server${meant(server, names)}`);
}

function grantTo(parts: ControlParts, req: Request, to: string): ChangedGrant {
  const { server, isOpen } = serverOf(parts, req);
  // What is open to all needs none, and is not to be found granted once it is another server's name.
  const changed = !isOpen && parts.registry.access.grant(to, server);
  return { to, server, changed, open: isOpen };
}

function ungrantFrom(parts: ControlParts, req: Request, to: string): ChangedGrant {
  const { server, isOpen } = serverOf(parts, req);
  if (isOpen) throw invalid("the server is open to all users, so that nobody can be kept from it");
  return { to, server, changed: parts.registry.access.ungrant(to, server), open: false };
}

function usersIn(req: Request): string[] {
  const { users = [] } = readBody(req, ["users"]);
  if (!Array.isArray(users) || users.some((name) => typeof name !== "string"))
    throw invalid("users must be a list of names");
  if (!users.every((name) => SLUG.test(String(name))))
    throw invalid(`the name of a user ${SLUG_RULE}`);
  return [...new Set(users as string[])];
}

function memberOf(req: Request): [group: string, user: string] {
  const user = param(req, "user");
  isAbout(req, user);
  return [param(req, "group"), user];
}

/** Who may use which servers: grants of users and groups, and groups themselves. */
export function addAccessRoutes(router: Router, parts: ControlParts): void {
  const { registry } = parts;
  const { access } = registry;

  mount(router, "/users/:user/grants", {
    get: (req): { body: UserAccess } => {
      const { name: user } = requireUser(registry, param(req, "user"));
      return { body: { user, ...access.of(user) } };
    },
    put: (req) => {
      const { name } = requireUser(registry, param(req, "user"));
      readBody(req, []);
      return { body: grantTo(parts, req, name) };
    },
    delete: (req) => {
      const { name } = requireUser(registry, param(req, "user"));
      return { body: ungrantFrom(parts, req, name) };
    },
  });
  mount(router, "/groups", {
    get: (): { body: { groups: Group[] } } => ({ body: { groups: access.groups() } }),
  });
  mount(router, "/groups/:group", {
    get: (req): { body: Group } => ({ body: access.requireGroup(param(req, "group")) }),
    delete: (req): { body: Group } => ({ body: access.removeGroup(param(req, "group")) }),
  });
  mount(router, "/groups/:group/members", {
    put: (req): { status: number; body: ChangedGroup } => {
      const name = param(req, "group");
      const users = usersIn(req);
      const isMade = access.addGroup(name, users);
      return { status: isMade ? 201 : 200, body: { ...access.requireGroup(name), made: isMade } };
    },
  });
  mount(router, "/groups/:group/members/:user", {
    // Unlike the one above it makes no group.
    put: (req): { body: ChangedMember } => {
      readBody(req, []);
      const [group, user] = memberOf(req);
      const { members } = access.requireGroup(group);
      access.addGroup(group, [user]);
      return { body: { group, user, changed: !members.includes(user) } };
    },
    delete: (req): { body: ChangedMember } => {
      const [group, user] = memberOf(req);
      return { body: { group, user, changed: access.removeMembers(group, [user]).length > 0 } };
    },
  });
  mount(router, "/groups/:group/grants", {
    put: (req) => {
      readBody(req, []);
      return { body: grantTo(parts, req, asGrantee(param(req, "group"))) };
    },
    delete: (req) => ({ body: ungrantFrom(parts, req, asGrantee(param(req, "group"))) }),
  });
}
