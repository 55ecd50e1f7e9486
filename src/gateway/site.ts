import type { IncomingMessage } from "node:http";
import express from "express";
import type { Express, NextFunction, Request, Response } from "express";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { sendError } from "../http/error-response.ts";
import { isSelfCheck } from "../http/self-check.ts";
import type { Principal, Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Tools } from "../tools/tools.ts";
import { secretsIn } from "./authenticate.ts";
import { hintFor } from "./hints.ts";
import { openApi } from "./openapi.ts";
import type { Trace } from "./trace.ts";

export interface SiteOptions {
  registry: Registry;
  catalog: Catalog;
  sessions: Sessions;
  supervisor: Supervisor;
  tools: Tools;
  version: string;
}

/** Where clients look for OAuth. A 401 or an empty 404 there makes some of them give up on the key they have. */
const OAUTH_PATHS = /(?:\/\.well-known\/|^\/(?:register|authorize|token)$)/;

/** Everything beside `/u/`: health, the places where OAuth is not, and 404 for the rest. */
export function createSite(
  options: SiteOptions,
  identify: (req: IncomingMessage) => Principal | Promise<Principal>,
  base: string,
): Express {
  const started = performance.now();
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.get("/health", async (req, res) => {
    traceOf(res).setRoute("health");
    if (isSelfCheck(req)) traceOf(res).isOwn = true;
    res.setHeader("cache-control", "no-store");
    const { servers, ...rest } = health(options, performance.now() - started);
    // Names are for those who may know them; a monitor that shows no secret is answered all the same.
    const wantsAll = "details" in req.query && secretsIn(req).length > 0;
    const list = wantsAll
      ? options.tools.states((await identify(req)).user)
      : options.tools.environmentStates();
    const shown = wantsAll || list.length > 0 ? { list } : {};
    res.type("json").json({ ...rest, servers: { ...servers, ...shown } });
  });
  app.get("/openapi.json", (_req, res) => {
    res.type("json").json(openApi(options.version, base));
  });
  app.use(async (req: Request, res: Response) => {
    if (!OAUTH_PATHS.test(req.path)) traceOf(res).setPrincipal(await identify(req));
    throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
  });
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, req: Request, res: Response, _next: NextFunction) => {
    const trace = traceOf(res);
    trace.fail(error, hintFor(toSupervisorError(error), req, options.registry));
    sendError(res, error, trace.requestId, "client");
  });
  return app;
}

function traceOf(res: Response): Trace {
  return res.locals["trace"] as Trace;
}

function health(
  { registry, catalog, sessions, supervisor, version }: SiteOptions,
  uptimeMs: number,
): Record<string, unknown> & { servers: { up: number; down: number } } {
  const failing = supervisor.failingServers();
  const servers = catalog.list().length;
  return {
    status: "ok",
    version,
    uptimeSeconds: Math.floor(uptimeMs / 1000),
    users: registry.countUsers(),
    sessions: sessions.count,
    instances: supervisor.counts(),
    servers: { up: servers - failing.size, down: failing.size },
  };
}
