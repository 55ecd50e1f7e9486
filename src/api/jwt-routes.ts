import type { Request, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { mount, param } from "./answers.ts";
import { readBody, readInstant } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { IssuedJwt } from "./types.ts";
import { requireUser } from "./subjects.ts";

const invalid = (message: string): SupervisorError =>
  new SupervisorError("REQUEST_INVALID", message);

/** A string where one is given. */
function readWord(value: unknown, name: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw invalid(`${name} must be a string`);
  return value;
}

export function addJwtRoutes(router: Router, { registry }: ControlParts): void {
  const nameOf = (req: Request): string => requireUser(registry, param(req, "user")).name;

  const issue = async (req: Request): Promise<IssuedJwt> => {
    const name = nameOf(req);
    const body = readBody(req, ["expiresAt", "audience", "issuer"]);
    const expiresAt = readInstant(body["expiresAt"], "expiresAt");
    if (expiresAt === null) throw invalid("expiresAt must be epoch ms: every JWT ends");
    const audience = readWord(body["audience"], "audience");
    const issuer = readWord(body["issuer"], "issuer");
    return await registry.issueJwt(name, { expiresAt, audience, issuer });
  };

  mount(router, "/users/:user/jwts", {
    post: async (req) => ({ status: 201, body: await issue(req) }),
  });
  mount(router, "/users/:user/jwts/revoke-before", {
    post: (req) => {
      const user = nameOf(req);
      const body = readBody(req, ["at"]);
      const at = readInstant(body["at"], "at") ?? Date.now();
      return { body: { user, revokedBefore: registry.revokeJwtsBefore(user, at) } };
    },
  });
  mount(router, "/users/:user/identities", {
    get: (req) => {
      const user = nameOf(req);
      return { body: { user, identities: registry.listIdentities(user) } };
    },
    post: (req) => {
      const user = nameOf(req);
      const body = readBody(req, ["issuer", "subject"]);
      const issuer = readWord(body["issuer"], "issuer");
      const subject = readWord(body["subject"], "subject");
      if (issuer === undefined || subject === undefined)
        throw invalid("issuer and subject are needed");
      registry.linkIdentity(user, issuer, subject);
      return { body: { user, issuer, subject } };
    },
  });
}
