import type { Request, Response } from "express";
import type { Audit } from "../audit/audit.ts";
import type { Logger } from "../observability/logger.ts";

export interface AdminLogParts {
  log: Logger;
  audit: Audit;
}

/** What an admin ordered, in the words of the command line; requests that no command sends are told as they are. */
function orderOf({ method, path, body }: Request): { what: string; user: string | null } {
  const [, noun, name = "", verb = ""] = path.replace(/^\/api/, "").split("/");
  if (noun === "users" && name === "" && method === "POST") {
    const { user } = (body ?? {}) as { user?: unknown };
    return { what: "user add", user: typeof user === "string" ? user : null };
  }
  if (noun === "keys" && method === "DELETE") return { what: `key revoke ${name}`, user: null };
  if (noun !== "users") return { what: noun === "reload" ? noun : `${method} ${path}`, user: null };
  const nouns: Record<string, string> = {
    "DELETE ": "user remove",
    "POST disable": "user disable",
    "POST enable": "user enable",
    "PUT token": "token set",
    "DELETE token": "token clear",
    "POST keys": "key issue",
  };
  return { what: nouns[`${method} ${verb}`] ?? verb, user: name };
}

/** Logs a request of an admin when it has ended; what was meant to change something goes to the audit too. */
export function watchAdmin({ log, audit }: AdminLogParts, req: Request, res: Response): void {
  const startedAt = performance.now();
  const { path, method } = req;
  const requestId = String(res.locals["requestId"]);
  res.on("close", () => {
    const durationMs = performance.now() - startedAt;
    const who = res.locals["who"] as string | undefined;
    log.info(
      {
        requestId,
        // Paths hold names only; secrets travel in bodies.
        request: `${method} ${path}`,
        status_code: res.statusCode,
        execution_time_ms: Math.round(durationMs),
        who,
      },
      "control request",
    );
    // Whoever was not let in gave no orders.
    if (method === "GET" || who === undefined) return;
    const { server } = req.query;
    const { code = "ok", message = null } = (res.locals["failure"] ?? {}) as {
      code?: string;
      message?: string;
    };
    audit.add({
      at: Date.now(),
      kind: "admin",
      ...orderOf(req),
      server: typeof server === "string" ? server : null,
      requestId,
      who,
      outcome: code,
      reason: message,
      durationMs,
      bytesIn: null,
      bytesOut: null,
    });
  });
}
