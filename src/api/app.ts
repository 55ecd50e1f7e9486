import type { IncomingMessage, ServerResponse } from "node:http";
import express from "express";
import type { Express, NextFunction, Request, RequestHandler, Response } from "express";
import { contained } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Edge } from "../http/edge.ts";
import { sendError } from "../http/error-response.ts";
import { newRequestId } from "../http/request-id.ts";
import { NOSNIFF } from "../http/safe-response.ts";
import { onAbort } from "../platform/abort.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { watchAdmin } from "./admin-log.ts";
import type { AdminSession } from "./admin-sessions.ts";
import { wantJson } from "./answers.ts";
import { createMetricsRoute } from "./metrics-route.ts";
import { createRoutes } from "./routes.ts";
import { jsonBody } from "./json-body.ts";
import type { ControlParts } from "./parts.ts";

/** What the router's own path decoding throws, in our words. */
function toRefusal(error: unknown): SupervisorError {
  if (error instanceof SupervisorError) return error;
  const { status } = error as { status?: number };
  if (status === 400)
    return new SupervisorError("REQUEST_INVALID", "the request cannot be read", { cause: error });
  return contained("request", error);
}

/** What a child said last may be in the message, and comes from anywhere in the details. */
function scrubbed(error: SupervisorError, scrubber: Scrubber): SupervisorError {
  const { code, message, details, retryAfterSeconds } = error;
  const clean = (text: string): string => scrubber.scrub(text);
  return new SupervisorError(code, clean(message), {
    cause: error,
    details: details.map(clean),
    retryAfterSeconds,
  });
}

/** Which admin asks, for the log and the audit, and by which session of the panel. */
export interface Admin {
  readonly who: string;
  readonly session?: AdminSession;
}

/** What the TCP listener and the unix socket differ in. */
export interface Door {
  /** Refuses to let a request in that nobody may send. */
  guard?: (req: IncomingMessage) => void;
  /** Answers what is for everybody who passed the guard, and hands on the rest. */
  entrance?: RequestHandler;
  /** Says which admin asks, or refuses to let the request in. */
  identify: (req: IncomingMessage) => Admin | Promise<Admin>;
  edge?: Edge;
}

/** What is still being sent to a session ends with it. */
function endWith({ over }: AdminSession, res: Response): void {
  const forget = onAbort(over, () => {
    // What was not begun is the answer to a request that came before.
    if (res.headersSent && !res.writableEnded) res.destroy();
  });
  res.on("close", forget);
}

/** The control API as an express app, behind that door. */
export function createApp(parts: ControlParts, { guard, entrance, identify, edge }: Door): Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").enable("case sensitive routing");
  app.set("query parser", "simple");
  app.use((req, res, next) => {
    const requestId = newRequestId();
    res.locals["requestId"] = requestId;
    res.set({ "cache-control": "no-store", ...NOSNIFF });
    watchAdmin(parts, req, res, edge?.addresses.of(req) ?? "");
    guard?.(req);
    next();
  });
  if (entrance !== undefined) app.use(entrance);
  app.use(async (req, res, next) => {
    const { who, session } = await identify(req);
    res.locals["who"] = who;
    res.locals["session"] = session?.id;
    if (session !== undefined) endWith(session, res);
    next();
  });
  app.use(wantJson, jsonBody(edge));
  app.use("/api", createRoutes(parts, edge === undefined));
  app.all("/metrics", createMetricsRoute(parts));
  app.use(() => {
    throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
  });
  app.use((error: unknown, _req: Request, res: Response, _next: NextFunction) => {
    const refusal = scrubbed(toRefusal(error), parts.scrubber);
    const requestId = String(res.locals["requestId"]);
    res.locals["failure"] = refusal;
    if (refusal.status >= 500)
      parts.log.error({ requestId, code: refusal.code, err: refusal }, "control request failed");
    sendError(res as ServerResponse, refusal, requestId, "admin");
  });
  return app;
}
