import type { ServerDef } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import type { Registry, User } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";

/** The user of that name who is not on the way out; USER_NOT_FOUND. */
export function requireUser(registry: Registry, name: string): User {
  const user = registry.requireUser(name);
  if (user.state === "removing")
    throw new SupervisorError("USER_NOT_FOUND", "the user is being removed");
  return user;
}

/** The server of that name; SERVER_NOT_FOUND, with the names there are. */
export function requireServer(catalog: Catalog, name: string): ServerDef {
  const server = catalog.find(name);
  if (server !== undefined) return server;
  const names = catalog.list().map((found) => found.name);
  throw new SupervisorError("SERVER_NOT_FOUND", `no such server; there are ${names.join(", ")}`);
}
