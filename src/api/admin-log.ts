import type { Request, Response } from "express";
import { orderRow } from "../audit/audit.ts";
import type { Audit } from "../audit/audit.ts";
import type { SupervisorError } from "../errors.ts";
import type { Journal } from "../telemetry/journal.ts";
import type { Logger } from "../telemetry/logger.ts";
import { NOTHING_KNOWN } from "../telemetry/request-record.ts";
import type { Scrubber } from "../telemetry/scrubber.ts";

/** Longer is no name, and no program's. */
const MAX_TEXT = 160;
const cut = (text: string | null): string | null => text?.slice(0, MAX_TEXT) ?? null;

export interface AdminLogParts {
  log: Logger;
  audit: Audit;
  journal: Pick<Journal, "add">;
  scrubber: Scrubber;
}

/** For routes whose path does not say whom they are about. */
export function isAbout(req: Request, user: string): void {
  if (req.res !== undefined) req.res.locals["about"] = user;
}

/** For routes whose path and query do not name the server that they are about. */
export function isAboutServer(req: Request, server: string): void {
  if (req.res !== undefined) req.res.locals["server"] = server;
}

/** Orders about servers, by method. */
const SERVER_ORDERS: Record<string, string> = {
  POST: "server add",
  PATCH: "server set",
  DELETE: "server remove",
};

/** Of routes that are about no user. */
const ORDERS: Record<string, string> = {
  "reload ": "reload",
  "backup ": "backup",
  "stop ": "stop --all",
  "notices test": "doctor --notices",
  "kubernetes rotate-ca": "kubernetes rotate-ca",
  "panel links": "panel",
};

/** What an admin ordered, in the words of the command line; requests that no command sends are told as they are. */
function orderOf({ method, path, body }: Request): { what: string; user: string | null } {
  const [, noun, name = "", verb = "", rest = ""] = path.replace(/^\/api/, "").split("/");
  if (noun === "users" && name === "" && method === "POST") {
    const { user } = (body ?? {}) as { user?: unknown };
    return { what: "user add", user: typeof user === "string" ? user : null };
  }
  if (noun === "keys" && method === "DELETE") return { what: `key revoke ${name}`, user: null };
  if (noun === "sessions" && method === "DELETE")
    return { what: `session end ${name}`, user: null };
  if (noun === "mcp" && name === "import") return { what: "server import", user: null };
  if (noun === "mcp" && name === "configs")
    return { what: SERVER_ORDERS[method] ?? `${method} ${path}`, user: null };
  if (noun === "keyring")
    return { what: method === "DELETE" ? `keyring drop ${verb}` : `keyring ${name}`, user: null };
  if (noun === "panel" && name === "sessions")
    return { what: method === "POST" ? "panel sign in" : "panel sign out", user: null };
  if (noun === "groups") return { what: groupOrderOf(method, name, verb, rest), user: null };
  if (noun === "apply") return { what: applyOrderOf(body), user: null };
  if (noun !== "users")
    return { what: ORDERS[`${noun} ${name}`] ?? `${method} ${path}`, user: null };
  const { graceful, method: called } = (body ?? {}) as Record<string, unknown>;
  const tool = typeof called === "string" ? called : "";
  const nouns: Record<string, string> = {
    "DELETE ": "user remove",
    "POST disable": "user disable",
    "POST enable": "user enable",
    "PUT token": "token set",
    "POST refresh": "token refresh",
    "DELETE token": "token clear",
    "POST tools": `call ${tool}`,
    "POST keys": "key issue",
    "PUT grants": "user grant",
    "DELETE grants": "user ungrant",
    "POST invite": "user invite",
    "DELETE invite": "user invite --revoke",
  };
  const order = verb === "restart" && graceful === true ? "restart --graceful" : verb;
  return { what: nouns[`${method} ${verb}`] ?? order, user: name };
}

/** What of a group is changed is in the order, as the audit has no column for groups. */
function groupOrderOf(method: string, group: string, what: string, member: string): string {
  const isTaken = method === "DELETE";
  if (what === "grants") return `user ${isTaken ? "ungrant" : "grant"} @${group}`;
  if (what === "members" && member !== "" && !isTaken) return `user grant @${group}`;
  return `group ${isTaken ? "remove" : "add"} ${group}`;
}

function applyOrderOf(body: unknown): string {
  const { dryRun, prune } = (body ?? {}) as Record<string, unknown>;
  return `apply${dryRun === true ? " --dry-run" : ""}${prune === true ? " --prune" : ""}`;
}

/** Logs a request of an admin when it has ended; what was meant to change something goes to the audit too. */
export function watchAdmin(
  { log, audit, journal, scrubber }: AdminLogParts,
  req: Request,
  res: Response,
  remoteAddress: string,
): void {
  const startedAt = performance.now();
  const { path, method } = req;
  const userAgent = req.headers["user-agent"] ?? "";
  const requestId = String(res.locals["requestId"]);
  res.on("close", () => {
    const durationMs = performance.now() - startedAt;
    const who = res.locals["who"] as string | undefined;
    const failure = res.locals["failure"] as SupervisorError | undefined;
    const order = orderOf(req);
    const user = order.user ?? (res.locals["about"] as string | undefined) ?? null;
    const named = typeof req.query["server"] === "string" ? req.query["server"] : undefined;
    const server = named ?? (res.locals["server"] as string | undefined) ?? null;
    if (failure !== undefined) {
      const { code, message, details } = failure;
      journal.add({
        ...NOTHING_KNOWN,
        requestId,
        at: Date.now(),
        method,
        path,
        status: res.statusCode,
        durationMs,
        remoteAddress,
        userAgent,
        failure: { code, message, details },
      });
    }
    // What nobody was let in for names whatever a stranger likes.
    const isIn = who !== undefined;
    // A page that is open looks every few seconds.
    const isLook =
      method === "GET" && failure === undefined && (!isIn || res.locals["session"] !== undefined);
    log[isLook ? "debug" : "info"](
      {
        requestId,
        // Paths hold names only; secrets travel in bodies.
        request: `${method} ${path}`,
        status_code: res.statusCode,
        execution_time_ms: Math.round(durationMs),
        remote_addr: remoteAddress,
        user_agent: scrubber.scrubCut(userAgent.slice(0, MAX_TEXT)),
        user: isIn ? cut(user) : null,
        server: isIn ? cut(server) : null,
        tool: null,
        who,
      },
      "control request",
    );
    // Whoever was not let in gave no orders.
    if (method === "GET" || who === undefined) return;
    audit.add(orderRow({ what: order.what, user, server, requestId, who, durationMs }, failure));
  });
}
