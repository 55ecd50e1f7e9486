import type { Request, Router } from "express";
import { SupervisorError } from "../errors.ts";
import { mount, param } from "./answers.ts";
import { readBody, readInstant, readQuery, readToken } from "./input.ts";
import type { ControlParts } from "./parts.ts";
import type { TokenRow, Unreached } from "./types.ts";
import { readSubject, requireUser } from "./subjects.ts";

export function addTokenRoutes(router: Router, parts: ControlParts): void {
  const { registry, tokens, supervisor } = parts;

  const set = (req: Request): TokenRow & { user: string } => {
    const { user, server = null } = readSubject(parts, req);
    const body = readBody(req, ["token", "expiresAt", "refreshToken"]);
    if (body["refreshToken"] === undefined) {
      const expiresAt = readInstant(body["expiresAt"], "expiresAt");
      tokens.set(user, server, readToken(body["token"], "token"), expiresAt);
    } else {
      if (server === null || body["token"] !== undefined || body["expiresAt"] !== undefined)
        throw new SupervisorError(
          "REQUEST_INVALID",
          "a refresh token is for one server, and stands without token and expiresAt",
        );
      tokens.setRefreshToken(user, server, readToken(body["refreshToken"], "refreshToken"));
    }
    const stored = tokens.show(user).find((row) => row.server === server);
    if (stored === undefined)
      throw new SupervisorError("STORE_FAILED", `${user}: the token was not kept`);
    return { user, ...stored };
  };

  const show = (req: Request): { user: string; tokens: TokenRow[] } => {
    const user = requireUser(registry, param(req, "user")).name;
    const server = readQuery(req, "server");
    const rows = tokens.show(user);
    return {
      user,
      tokens: server === undefined ? rows : rows.filter((row) => row.server === server),
    };
  };

  const clear = (req: Request): { user: string; server: string | null } & Unreached => {
    // The server may have left the config since; its token must still be deletable.
    const user = requireUser(registry, param(req, "user")).name;
    const server = readQuery(req, "server") ?? null;
    tokens.clear(user, server);
    return { user, server, mayLiveUntil: supervisor.mayLiveUntil(user, server ?? undefined) };
  };

  mount(router, "/users/:user/token", {
    get: (req) => ({ body: show(req) }),
    put: (req) => ({ body: set(req) }),
    delete: (req) => ({ body: clear(req) }),
  });
}
