import type { IncomingMessage, ServerResponse } from "node:http";
import express from "express";
import type { Express, NextFunction, Request, Response } from "express";
import { contained } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Edge } from "../http/edge.ts";
import { sendError } from "../http/error-response.ts";
import { newRequestId } from "../http/request-id.ts";
import { NOSNIFF } from "../http/safe-response.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";
import { watchAdmin } from "./admin-log.ts";
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

/**
 * The control API as an express app. `identify` says which admin asks, or refuses to let the request
 * in; it is what the TCP listener and the unix socket differ in.
 */
export function createApp(
  parts: ControlParts,
  identify: (req: IncomingMessage) => string | Promise<string>,
  edge?: Edge,
): Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").enable("case sensitive routing");
  app.set("query parser", "simple");
  app.use(async (req, res, next) => {
    const requestId = newRequestId();
    res.locals["requestId"] = requestId;
    res.set({ "cache-control": "no-store", ...NOSNIFF });
    watchAdmin(parts, req, res, edge?.addresses.of(req) ?? "");
    res.locals["who"] = await identify(req);
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
