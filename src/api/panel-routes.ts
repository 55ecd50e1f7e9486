import { Router } from "express";
import type { Request } from "express";
import { SupervisorError } from "../errors.ts";
import type { Edge } from "../http/edge.ts";
import { requireOwnPage } from "../http/own-page.ts";
import type { AppPages } from "../web/app-pages.ts";
import type { AdminSessions, OpenedSession } from "./admin-sessions.ts";
import { mount, param } from "./answers.ts";
import { readBody } from "./input.ts";
import { jsonBody } from "./json-body.ts";
import type { ControlParts } from "./parts.ts";
import type { EndedPanelSessions, PanelLink, PanelSession } from "./panel-types.ts";

/** What the audit calls the admin who asks by that session. */
export const whoOf = ({ id }: { id: string }): string => `admin session ${id}`;

export interface EntranceParts {
  pages: AppPages;
  sessions: AdminSessions;
  edge: Edge;
  publicUrl: URL;
  isAdminToken: (given: string) => boolean;
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/**
 * The page and what it is made of, which are the same for everybody, and where a browser signs in, by
 * the code of a link or by the admin token: for pages of ours alone.
 */
export function panelEntrance(parts: EntranceParts): Router {
  const { pages, sessions, edge, publicUrl, isAdminToken } = parts;
  const router = Router({ caseSensitive: true, strict: true });

  const open = (body: Record<string, unknown>): OpenedSession => {
    const { code, token } = body;
    if ((code === undefined) === (token === undefined))
      throw new SupervisorError("REQUEST_INVALID", "the body holds code or token");
    if (token === undefined) return sessions.redeem(textOf(code));
    if (isAdminToken(textOf(token).trim())) return sessions.open("admin token");
    throw new SupervisorError("KEY_INVALID", "this is not the admin token");
  };

  router.get("/panel", (req, res) => pages.send(req, res, "panel"));
  router.get("/web/*name", (req, res, next) => {
    if (!pages.sendFile(req, res, req.path.slice("/web/".length))) next();
  });
  const isOwn = (req: Request): void => requireOwnPage(req, publicUrl);
  router.post(
    "/api/panel/sessions",
    (req, _res, next) => {
      isOwn(req);
      next();
    },
    jsonBody(edge),
    (req, res) => {
      const body = readBody(req, ["code", "token"]);
      const opened = edge.admit(req, () => open(body));
      res.locals["who"] = whoOf(opened);
      res.status(201).json(opened);
    },
  );
  return router;
}

/** Where the panel is. Whoever listens on every address is reached on this machine. */
function panelUrl({ config, adminAddress }: ControlParts): URL {
  const address = adminAddress();
  if (config.admin === false || address === null)
    throw new SupervisorError(
      "PANEL_OFF",
      'the panel is served where "admin" in the config says, and it says nothing',
      { details: ['set "admin": { "host": "127.0.0.1", "port": 8041 } and restart the daemon'] },
    );
  const { host, port } = address;
  const known: Record<string, string> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  const name = known[host] ?? host;
  return new URL(`http://${name.includes(":") ? `[${name}]` : name}:${port}/panel`);
}

/** `isLocal`: links are made on the unix socket alone, so that whoever has a session cannot hand it on. */
export function addPanelRoutes(router: Router, parts: ControlParts, isLocal: boolean): void {
  const { adminSessions: sessions } = parts;

  const link = (req: Request): { status: number; body: PanelLink } => {
    readBody(req, []);
    const url = panelUrl(parts);
    const who = String(req.res?.locals["who"] ?? "");
    const { id, code, expiresAt } = sessions.createLink(who);
    url.hash = code;
    return { status: 201, body: { id, url: url.href, expiresAt } };
  };

  if (isLocal) mount(router, "/panel/links", { post: link });
  mount(router, "/panel/sessions", {
    get: (req) => {
      const own = req.res?.locals["session"] as string | undefined;
      const rows = sessions.list().map(({ id, by, since, lastSeenAt, expiresAt }): PanelSession => {
        return { id, by, since, lastSeenAt, expiresAt, isOwn: id === own };
      });
      return { body: { sessions: rows } };
    },
    delete: (): { body: EndedPanelSessions } => ({ body: { ended: sessions.endAll() } }),
  });
  mount(router, "/panel/sessions/:id", {
    delete: (req): { body: EndedPanelSessions } => {
      const named = param(req, "id");
      const id = named === "own" ? String(req.res?.locals["session"] ?? "") : named;
      if (!sessions.end(id))
        throw new SupervisorError("NOT_FOUND", "no session of the panel has this id");
      return { body: { ended: 1 } };
    },
  });
}
