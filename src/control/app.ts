import type { IncomingMessage, ServerResponse } from "node:http";
import express from "express";
import type { Express, NextFunction, Request, Response } from "express";
import { contained } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { ClientAddress } from "../http/client-address.ts";
import { sendError } from "../http/error-response.ts";
import { newRequestId } from "../http/request-id.ts";
import { NOSNIFF } from "../http/safe-response.ts";
import type { Scrubber } from "../observability/scrubber.ts";
import { watchAdmin } from "./admin-log.ts";
import { wantJson } from "./answers.ts";
import { createMetricsRoute } from "./metrics-route.ts";
import { createRoutes } from "./routes.ts";
import type { ControlParts } from "./parts.ts";

const MAX_BODY = "1mb";

/** What body-parser and the router's own path decoding throw, in our words. */
function toRefusal(error: unknown): SupervisorError {
  if (error instanceof SupervisorError) return error;
  const { type, status } = error as { type?: string; status?: number };
  if (type === "entity.too.large")
    return new SupervisorError("BODY_TOO_LARGE", "the body is over 1 MiB", { cause: error });
  if (type === "encoding.unsupported" || type === "charset.unsupported")
    return new SupervisorError("TYPE_UNSUPPORTED", "the body must be plain UTF-8", {
      cause: error,
    });
  if (type === "entity.parse.failed")
    return new SupervisorError("REQUEST_INVALID", "the body is not JSON", { cause: error });
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
  addresses?: ClientAddress,
): Express {
  const app = express();
  app.disable("x-powered-by").disable("etag").enable("case sensitive routing");
  app.set("query parser", "simple");
  app.use(async (req, res, next) => {
    const requestId = newRequestId();
    res.locals["requestId"] = requestId;
    res.set({ "cache-control": "no-store", ...NOSNIFF });
    watchAdmin(parts, req, res, addresses?.of(req) ?? "");
    res.locals["who"] = await identify(req);
    next();
  });
  app.use(wantJson, express.json({ limit: MAX_BODY, strict: true, type: () => true }));
  app.use("/api", createRoutes(parts));
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
