import type { Request, Router } from "express";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { mount, param } from "./answers.ts";
import { readBody, readQuery } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import { requireUser } from "./subjects.ts";
import type { RefreshedTokens } from "./types.ts";

/** Asks providers for new tokens now, at an admin's word. */
export function addRefreshRoutes(router: Router, { registry, tokens }: ControlParts): void {
  const refresh = async (req: Request): Promise<RefreshedTokens> => {
    const user = requireUser(registry, param(req, "user")).name;
    readBody(req, []);
    const server = readQuery(req, "server");
    const servers = server === undefined ? tokens.refreshable(user) : [server];
    if (servers.length === 0)
      throw new SupervisorError("TOKEN_NOT_FOUND", "there is no token of a provider");
    const tries = servers.map(async (name) => {
      try {
        await tokens.refresh(user, name);
        return { server: name, failure: null };
      } catch (error) {
        // The only one: its failure is that of the request.
        if (servers.length === 1) throw error;
        const { code, message } = toSupervisorError(error);
        return { server: name, failure: { code, message } };
      }
    });
    return { user, refreshed: await Promise.all(tries) };
  };

  mount(router, "/users/:user/refresh", {
    post: async (req) => ({ body: await refresh(req) }),
  });
}
