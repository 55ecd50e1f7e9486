import type { Router } from "express";
import type { User } from "../auth/registry.ts";
import { mount, param } from "./answers.ts";
import { readBody, readFlag, readInstant, readQuery, readToken, readUserName } from "./input.ts";
import { privateHomes } from "../engines/process/private-home.ts";
import type { ControlParts } from "./parts.ts";
import { addUser } from "../operations/add-user.ts";
import { createRemoval } from "../operations/removal.ts";
import type { AddedUser, ShownUser, Urls, UserRow } from "./types.ts";
import { requireServer, requireUser } from "./subjects.ts";
import { personalUrls } from "./urls.ts";

const userRow = ({ name, state, createdAt }: User): UserRow => ({ user: name, state, createdAt });

export function addUserRoutes(router: Router, parts: ControlParts): void {
  const { registry, catalog, tokens, supervisor, config, publicUrl } = parts;
  const remove = createRemoval(parts);

  const add = (body: Record<string, unknown>): AddedUser => {
    const token = body["token"] === undefined ? undefined : readToken(body["token"], "token");
    const tokenExpiresAt = readInstant(body["tokenExpiresAt"], "tokenExpiresAt");
    const name = readUserName(body["user"]);
    const added = addUser(parts, { name, token, tokenExpiresAt });
    return { ...added, urls: personalUrls(publicUrl, parts, added.user) };
  };

  const transports = (): Urls["transports"] =>
    Object.fromEntries(catalog.list().map(({ name, transport }) => [name, transport]));

  const show = async (name: string): Promise<ShownUser> => ({
    // In every state: an admin must be able to look at a removal that hangs.
    ...userRow(registry.requireUser(name)),
    keys: registry.listKeys(name),
    tokens: tokens.show(name),
    urls: personalUrls(publicUrl, parts, name),
    transports: transports(),
    instances: await supervisor.status({ user: name }),
    homes: await privateHomes(config.dataDir, name),
  });

  const urls = (name: string, server: string | undefined): Urls => {
    const { name: user } = requireUser(registry, name);
    if (server !== undefined) requireServer(catalog, server);
    const rows = personalUrls(publicUrl, parts, user);
    return {
      user,
      urls: rows.filter((row) => server === undefined || row.server === server),
      transports: transports(),
    };
  };

  mount(router, "/users", {
    get: () => ({ body: { users: registry.listUsers().map(userRow) } }),
    post: (req) => ({
      status: 201,
      body: add(readBody(req, ["user", "token", "tokenExpiresAt"])),
    }),
  });
  mount(router, "/users/:user", {
    get: async (req) => ({ body: await show(param(req, "user")) }),
    delete: async (req) => ({
      body: await remove(param(req, "user"), readFlag(req, "keepData")),
    }),
  });
  mount(router, "/users/:user/disable", {
    post: (req) => {
      const { name } = requireUser(registry, param(req, "user"));
      return { body: userRow(registry.disableUser(name)) };
    },
  });
  mount(router, "/users/:user/enable", {
    post: (req) => {
      const { name } = requireUser(registry, param(req, "user"));
      return { body: userRow(registry.enableUser(name)) };
    },
  });
  mount(router, "/users/:user/urls", {
    get: (req) => ({ body: urls(param(req, "user"), readQuery(req, "server")) }),
  });
}
