import type { Request, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { isAbout } from "./admin-log.ts";
import { mount, param } from "./answers.ts";
import { readBody, readCount, readInstant, readLabel } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { IssuedKey, OwnedKey } from "./types.ts";
import { requireUser } from "./subjects.ts";

export function addKeyRoutes(router: Router, { registry }: ControlParts): void {
  const issue = (req: Request): IssuedKey => {
    const { name } = requireUser(registry, param(req, "user"));
    const body = readBody(req, ["label", "expiresAt"]);
    const expiresAt = readInstant(body["expiresAt"], "expiresAt");
    if (expiresAt !== null && expiresAt <= Date.now())
      throw new SupervisorError("REQUEST_INVALID", "expiresAt is in the past");
    return registry.issueKey(name, { label: readLabel(body["label"]), expiresAt });
  };

  mount(router, "/users/:user/keys", {
    get: (req) => {
      const { name } = requireUser(registry, param(req, "user"));
      return { body: { user: name, keys: registry.listKeys(name) } };
    },
    post: (req) => ({ status: 201, body: issue(req) }),
  });
  mount(router, "/keys", {
    get: (req): { body: { keys: OwnedKey[] } } => {
      const until = readCount(req, "expiringBy");
      const keys = until === undefined ? registry.allKeys() : registry.expiringKeys(until);
      return { body: { keys } };
    },
  });
  mount(router, "/keys/:id", {
    delete: (req) => {
      const revoked = registry.revokeKey(param(req, "id"));
      isAbout(req, revoked.user);
      return { body: revoked };
    },
  });
}
