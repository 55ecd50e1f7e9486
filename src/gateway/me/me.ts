import { keyInvalid } from "../../auth/key-invalid.ts";
import type { BrowserCaller, Principal, Registry } from "../../auth/registry.ts";
import { SupervisorError } from "../../errors.ts";
import { sendText } from "../../http/error-response.ts";
import { requireOwnPage } from "../../http/own-page.ts";
import { dropBody, readBody } from "../../http/read-body.ts";
import { DAY_MS } from "../../platform/durations.ts";
import type { AppPages } from "../../web/app-pages.ts";
import { cookieIn } from "../cookies.ts";
import { putOwnToken } from "../own-token.ts";
import type { OwnTokenParts } from "../own-token.ts";
import type { FrontContext } from "../request-context.ts";
import type { MeRoute } from "../routes.ts";
import { serveTools } from "../tool-routes.ts";
import type { ToolRoutesParts } from "../tool-routes.ts";
import { allowOnly } from "../methods.ts";
import type { WebRequest } from "../web.ts";
import { activityRoutes } from "./activity.ts";
import type { ActivityParts } from "./activity.ts";
import { keyRoutes } from "./keys.ts";
import { serverRoutes } from "./servers.ts";
import type { ServerParts } from "./servers.ts";
import { OpenBySession } from "./open-by-session.ts";
import { noteIn } from "./note.ts";
import type { MeRoutes } from "./request.ts";
import { sessionCookie } from "./session-cookie.ts";

const MAX_BODY_BYTES = 8 * 1024;
const COOKIE_SECONDS = (7 * DAY_MS) / 1000;

export interface MeParts
  extends ActivityParts, ServerParts, ToolRoutesParts, Omit<OwnTokenParts, "tokens"> {
  tools: ToolRoutesParts["tools"];
  tokens: ServerParts["tokens"] & OwnTokenParts["tokens"];
  supervisor: ServerParts["supervisor"] & OwnTokenParts["supervisor"];
  catalog: ServerParts["catalog"];
  sessions: ToolRoutesParts["sessions"] & ActivityParts["sessions"];
  audit: ActivityParts["audit"];
  registry: Registry;
  config: FrontContext["config"];
  apps: AppPages;
}

/**
 * The user's own page, and what it asks for. A cookie opens this and nothing else, no key opens it, and
 * no path, id or body names a user: all of it is the session's user's own.
 */
export class Me {
  readonly #parts: MeParts;
  readonly #routes: MeRoutes;
  readonly #open: OpenBySession;

  constructor(parts: MeParts) {
    this.#parts = parts;
    this.#routes = { ...activityRoutes(parts), ...keyRoutes(parts), ...serverRoutes(parts) };
    this.#open = new OpenBySession(parts.registry.events);
  }

  /** Answers, or rejects with why not. */
  async serve(request: WebRequest, route: MeRoute): Promise<void> {
    const { config, apps, publicUrl, edge } = this.#parts;
    const { req, res, trace } = request;
    if (config.pages === false)
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
    if (route.kind === "page") {
      allowOnly(req, res, ["GET", "HEAD"]);
      return apps.send(req, res, "me");
    }
    requireOwnPage(req, publicUrl);
    const { name, named } = route;
    const path = named === "" ? name : `${name}/*`;
    if (path === "session" && req.method === "POST") return await this.#signIn(request);
    const caller = edge.admit(req, () => this.#callerOf(request));
    trace.setPrincipal(caller.principal);
    if (path === "tools") return await this.#serveTools(request, caller);
    if (path === "token" && config.selfService) {
      allowOnly(req, res, ["PUT"]);
      const { principal } = caller;
      return await putOwnToken(this.#parts, {
        req,
        res,
        principal,
        who: "page",
        requestId: trace.requestId,
      });
    }
    await this.#serveRoute(request, { path, named }, caller);
  }

  async #serveRoute(
    { req, res, trace }: WebRequest,
    { path, named }: { path: string; named: string },
    caller: BrowserCaller,
  ): Promise<void> {
    const methods = Object.hasOwn(this.#routes, path) ? this.#routes[path]! : undefined;
    if (methods === undefined)
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
    allowOnly(req, res, Object.keys(methods));
    const body = await this.#bodyOf({ req });
    if (body === undefined) return;
    const { user } = caller.principal;
    const answer = await methods[req.method!]!({ req, trace, caller, user, named, body });
    if (res.destroyed) return;
    const text = JSON.stringify(answer.body ?? {});
    sendText(res, answer.status ?? 200, answer.headers ?? {}, text);
  }

  /** By the rules and the code of `POST /tools`; over with the session. */
  async #serveTools(request: WebRequest, { session, principal }: BrowserCaller): Promise<void> {
    const { req, res, trace } = request;
    allowOnly(req, res, ["GET", "POST"]);
    trace.setRoute("tools");
    trace.atEnd(this.#open.add(session.id, () => res.destroy()));
    const route = req.method === "POST" ? "call" : "list";
    await serveTools(route, this.#parts, this.#parts, { ...request, principal, isOfPage: true });
  }

  /** The key is in the body, so that no address and no form that is sent without our script has it. */
  async #signIn({ req, res, trace }: WebRequest): Promise<void> {
    const { registry, edge, audit, publicUrl } = this.#parts;
    const body = await this.#bodyOf({ req });
    if (body === undefined) return;
    const { key, ...rest } = body;
    if (typeof key !== "string" || Object.keys(rest).length > 0)
      throw new SupervisorError("REQUEST_INVALID", "the body must hold key, and no other key");
    const principal = edge.admit(req, (): Principal => {
      // Not by the connection: a browser sends what is for others over the same one.
      const found = registry.verify(key);
      if (found === undefined) throw keyInvalid();
      return found;
    });
    const cookie = sessionCookie(publicUrl);
    const before = registry.browserSessions.verify(cookieIn(req.headers.cookie, cookie.name));
    if (before !== undefined)
      registry.browserSessions.end(before.principal.user, before.session.id);
    const { user } = principal;
    const client = req.headers["user-agent"] ?? "";
    const { secret, id } = registry.browserSessions.open(principal, client);
    trace.setPrincipal(principal);
    noteIn(audit)({ user, trace }, "page sign in");
    const headers = { "set-cookie": cookie.set(secret, COOKIE_SECONDS) };
    sendText(res, 201, headers, JSON.stringify({ user, session: { id } }));
  }

  #callerOf({ req }: Pick<WebRequest, "req">): BrowserCaller {
    const { registry, publicUrl } = this.#parts;
    const secret = cookieIn(req.headers.cookie, sessionCookie(publicUrl).name);
    if (secret === "")
      throw new SupervisorError("KEY_MISSING", "sign in first: this is for a page of yours");
    const caller = registry.browserSessions.verify(secret);
    if (caller === undefined) throw keyInvalid();
    return caller;
  }

  /** The JSON object that was sent, an empty one for a read; undefined where the client left. */
  async #bodyOf({ req }: Pick<WebRequest, "req">): Promise<Record<string, unknown> | undefined> {
    if (req.method === "GET" || req.method === "HEAD") {
      dropBody(req);
      return {};
    }
    const bytes = await readBody(req, MAX_BODY_BYTES, this.#parts.edge);
    if (bytes === undefined) return undefined;
    try {
      const value: unknown = bytes.length === 0 ? {} : JSON.parse(bytes.toString());
      if (typeof value === "object" && value !== null && !Array.isArray(value))
        return value as Record<string, unknown>;
    } catch {
      // As any other text that is no object.
    }
    throw new SupervisorError("REQUEST_INVALID", "the body must be a JSON object");
  }
}
