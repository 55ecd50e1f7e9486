import type { Request } from "express";
import { SupervisorError } from "../errors.ts";
import type { Registry, User } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { param } from "./answers.ts";
import { readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";

/** The user of that name who is not on the way out; USER_NOT_FOUND. */
export function requireUser(registry: Registry, name: string): User {
  const user = registry.requireUser(name);
  if (user.state === "removing")
    throw new SupervisorError("USER_NOT_FOUND", "the user is being removed");
  return user;
}

/** The server that the query asks for, where it asks for one; SERVER_NOT_FOUND, with the names there are. */
export function readServer(catalog: Catalog, req: Request): string | undefined {
  const name = readQuery(req, "server");
  if (name === undefined || catalog.find(name) !== undefined) return name;
  const names = catalog.list().map((found) => found.name);
  throw new SupervisorError("SERVER_NOT_FOUND", `no such server; there are ${names.join(", ")}`);
}

/** The user of the path and the server of the query, as `requireUser` and `readServer` have them. */
export function readSubject(
  { registry, catalog }: Pick<ControlParts, "registry" | "catalog">,
  req: Request,
): { user: string; server: string | undefined } {
  const { name: user } = requireUser(registry, param(req, "user"));
  return { user, server: readServer(catalog, req) };
}
