import type { IncomingMessage } from "node:http";
import type { Audit } from "../audit/audit.ts";
import type { Principal, Registry } from "../auth/registry.ts";
import type { Builtins } from "../builtins/builtins.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { ServerDef } from "../config/config.ts";
import { guarded } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import { sendError } from "../http/error-response.ts";
import { createGuard } from "../http/guard.ts";
import { newRequestId } from "../http/request-id.ts";
import { NO_PAGE } from "../http/safe-response.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Requests } from "../telemetry/requests.ts";
import { authenticate } from "./authenticate.ts";
import { answerCors } from "./cors.ts";
import { refusePost, serveHttp } from "./front-http.ts";
import { openSseStream, postSseMessage } from "./front-sse.ts";
import { isForPerson, refusePerson } from "./browser-refusal.ts";
import { Me } from "./me/me.ts";
import { allowOnly } from "./methods.ts";
import { hintFor } from "./hints.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";
import { OWN_ROUTE_METHODS, requireRoute } from "./own-route-path.ts";
import { createMeRouter, createOwnRouter, createRouter } from "./routes.ts";
import { createTokenPath, createWebRouter } from "./routes.ts";
import { toolRouteOf, withoutPrefix } from "./routes.ts";
import type { Leaf, Route, ToolRoute } from "./routes.ts";
import { nameOf, putOwnToken } from "./own-token.ts";
import { settingsOf } from "./session-config.ts";
import { TOOL_METHODS, serveTools } from "./tool-routes.ts";
import { createSite } from "./site.ts";
import type { SiteOptions } from "./site.ts";
import { Trace } from "./trace.ts";
import { Web } from "./web.ts";
import { AppPages } from "../web/app-pages.ts";
import { Pages } from "../web/pages.ts";

export interface DispatcherOptions extends SiteOptions {
  registry: Registry;
  catalog: Catalog;
  supervisor: Supervisor;
  log: Logger;
  requests: Requests;
  audit: Audit;
  builtins: Pick<Builtins, "markOf">;
  tokens: Pick<Tokens, "set" | "show" | "renewalOf" | "handedOver" | "connects">;
}

/** A request as it came in, before anything is known of it. */
interface Incoming {
  req: BodyRequest;
  res: SafeResponse;
  trace: Trace;
}

const METHODS: Record<Leaf, readonly string[]> = {
  sse: ["GET"],
  messages: ["POST"],
  mcp: ["POST", "GET", "DELETE"],
};

/** Takes each request of the public listener: finds out who asks, holds the path against it, and hands it to its front. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #context: FrontContext;
  readonly #route: ReturnType<typeof createRouter>;
  readonly #tokenPath: ReturnType<typeof createTokenPath>;
  readonly #guard: ReturnType<typeof createGuard>;
  readonly #site: ReturnType<typeof createSite>;
  readonly #ownRoute: ReturnType<typeof createOwnRouter>;
  readonly #webRoute: ReturnType<typeof createWebRouter>;
  readonly #web: Web;
  readonly #meRoute: ReturnType<typeof createMeRouter>;
  readonly #me: Me;
  readonly #authenticate = (req: IncomingMessage): Principal | Promise<Principal> =>
    authenticate(req, this.#options.registry);

  constructor(options: DispatcherOptions, context: FrontContext) {
    const { publicUrl, listen, allowedHosts, allowedOrigins, environment } = context.config;
    this.#options = options;
    this.#context = context;
    this.#route = createRouter(context.prefix);
    this.#tokenPath = createTokenPath(context.prefix);
    this.#guard = createGuard({
      hosts: [publicUrl.host, listen.host, ...allowedHosts],
      origins: [publicUrl.origin, ...allowedOrigins],
      pages: "loopback",
      dotless: Object.keys(environment).length > 0,
    });
    const identify = (req: IncomingMessage): Principal | Promise<Principal> => this.#identify(req);
    this.#site = createSite(options, identify, context.prefix);
    this.#ownRoute = createOwnRouter(context.prefix);
    this.#webRoute = createWebRouter(context.prefix);
    const pages = new Pages(context.prefix);
    const apps = new AppPages(context.prefix);
    this.#web = new Web({ ...options, ...context, pages, apps, identify });
    this.#meRoute = createMeRouter(context.prefix);
    this.#me = new Me({ ...options, ...context, apps });
  }

  /** Answers the request, or refuses it; never throws. */
  readonly answer = (req: BodyRequest, res: SafeResponse): void => {
    // No answer of ours is a page for a browser, whatever the path and whoever answers.
    res.forBrowsers = NO_PAGE;
    const { requests, audit, log } = this.#options;
    const address = this.#context.edge.addresses.of(req);
    const trace = new Trace({ requests, audit, log, address }, req, res, newRequestId());
    const incoming = { req, res, trace };
    const say = (error: unknown): void => this.#refuse(incoming, error);
    const refuse = (error: unknown): void => guarded("request", () => res.destroy(), say)(error);
    try {
      this.#serve(incoming)?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  };

  #serve(incoming: Incoming): Promise<void> | undefined {
    const { req, res, trace } = incoming;
    const url = req.url ?? "";
    const route = this.#route(url);
    if (route !== undefined) trace.setRoute(route.leaf, route.user);
    this.#guard(req);
    if (answerCors(req, res, this.#context.config.allowedOrigins)) return undefined;
    const page = route === undefined ? this.#webRoute(url) : undefined;
    if (page !== undefined) return this.#web.serve(incoming, page);
    const own = route === undefined ? this.#meRoute(url) : undefined;
    if (own !== undefined) return this.#me.serve(incoming, own);
    if (!this.#isPersonal(url) || url.includes("/.well-known/")) {
      const toolRoute = toolRouteOf(url, this.#context.prefix);
      if (toolRoute !== undefined) return this.#serveTools(incoming, toolRoute);
      this.#serveSite(incoming, url);
      return undefined;
    }
    const found = this.#identify(req);
    if (!(found instanceof Promise)) return this.#servePersonal(incoming, route, found);
    return found.then((principal) =>
      // Whoever has left meanwhile has no end that anything could be tied to.
      res.destroyed ? undefined : this.#servePersonal(incoming, route, principal),
    );
  }

  #servePersonal(
    incoming: Incoming,
    route: Route | undefined,
    principal: Principal,
  ): Promise<void> | undefined {
    const { req, res, trace } = incoming;
    trace.setPrincipal(principal);
    if (route === undefined) return this.#serveOther(incoming, principal);
    requireOwn(route.user, principal);
    const server = this.#requireServer(route, principal);
    trace.setServer(server.name);
    allowOnly(req, res, METHODS[route.leaf]);
    const settings = settingsOf(this.#options.builtins, server, req);
    // Last: what is refused leaves no instance behind, not even a stopped one.
    const ref = { user: principal.user, server: server.name, variant: "" };
    const instance = this.#options.supervisor.instance(ref);
    const { requestId } = trace;
    const whose = { principal, route, server, instance, settings };
    return this.#serveFront({ req, res, requestId, trace, ...whose });
  }

  async #serveOther(incoming: Incoming, principal: Principal): Promise<void> {
    const route = this.#ownRoute(incoming.req.url ?? "");
    if (route === undefined) return await this.#serveOwnToken(incoming, principal);
    const { req, res, trace } = incoming;
    trace.setRoute("own", route.user);
    requireOwn(route.user, principal);
    const server = this.#requireServer(route, principal);
    trace.setServer(server.name);
    const prefix = requireRoute(route, server.routes);
    allowOnly(req, res, OWN_ROUTE_METHODS);
    const ref = { user: principal.user, server: server.name, variant: "" };
    const instance = this.#options.supervisor.instance(ref);
    const { requestId } = trace;
    const request = { req, res, trace, requestId, principal, route, server, instance };
    // Few have such routes, and what carries them is not for all to hold in memory.
    const { serveOwnRoute } = await import("./own-routes.ts");
    await serveOwnRoute(this.#context, request, prefix);
  }

  /** Paths that are nobody's: the site knows them without the prefix. */
  #serveSite({ req, res, trace }: Incoming, url: string): void {
    const { prefix } = this.#context;
    req.url = withoutPrefix(url, prefix);
    Object.assign(res, { locals: { trace } });
    res.settle();
    this.#site(req, res);
  }

  /** The user's tools, for who speaks no MCP: whose they are is said by the secret alone. */
  async #serveTools({ req, res, trace }: Incoming, route: ToolRoute): Promise<void> {
    trace.setRoute("tools");
    const principal = await this.#identify(req);
    if (res.destroyed) return;
    trace.setPrincipal(principal);
    allowOnly(req, res, TOOL_METHODS[route]);
    return await serveTools(route, this.#context, this.#options, { req, res, trace, principal });
  }

  async #serveOwnToken({ req, res, trace }: Incoming, principal: Principal): Promise<void> {
    const owner = this.#context.config.selfService ? this.#tokenPath(req.url ?? "") : undefined;
    if (owner === undefined)
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
    trace.setRoute("other", owner);
    requireOwn(owner, principal);
    allowOnly(req, res, ["PUT"]);
    const parts = { ...this.#options, edge: this.#context.edge };
    const who = nameOf(principal);
    await putOwnToken(parts, { req, res, principal, who, requestId: trace.requestId });
  }

  #serveFront(request: RequestContext): Promise<void> | undefined {
    switch (request.route.leaf) {
      case "messages":
        return postSseMessage(this.#context, request);
      case "mcp":
        return serveHttp(this.#context, request);
      case "sse":
        openSseStream(this.#context, request);
        return undefined;
    }
  }

  #refuse({ req, res, trace }: Incoming, error: unknown): void {
    const { requestId } = trace;
    const refusal = toSupervisorError(error);
    trace.fail(error, hintFor(refusal, req, this.#options.registry));
    if (isForPerson(req, refusal)) refusePerson(res, refusal, requestId);
    else if (req.method === "POST" && this.#route(req.url ?? "")?.leaf === "mcp")
      refusePost({ res, requestId }, error, []);
    else sendError(res, error, requestId, "client");
  }

  #identify(req: IncomingMessage): Principal | Promise<Principal> {
    return this.#context.edge.admit(req, this.#authenticate);
  }

  #isPersonal(url: string): boolean {
    const { prefix } = this.#context;
    return url.startsWith("/u/") || (prefix !== "" && url.startsWith(`${prefix}/u/`));
  }

  /** One that is not granted to the user is not there, and the admin alone is told which of both it is. */
  #requireServer(
    route: Pick<Route, "user" | "server"> & { leaf?: Leaf },
    { user }: Principal,
  ): ServerDef {
    const { catalog } = this.#options;
    const { defaultServer } = this.#context.config;
    const name = route.server ?? defaultServer;
    const server = name === null ? undefined : catalog.findFor(user, name);
    if (server !== undefined) return server;
    const isThere = name !== null && catalog.find(name) !== undefined;
    const how = `mcp-supervisor user grant ${user} ${name}`;
    const details = isThere ? [`it is not granted to the user: ${how}`] : [];
    throw new SupervisorError(
      "SERVER_NOT_FOUND",
      route.server === undefined
        ? `there is no default server: name one in the path, /u/${route.user}/SERVER/${route.leaf ?? ""}`
        : "there is no such server",
      { details },
    );
  }
}

function requireOwn(pathUser: string, { user }: Principal): void {
  if (pathUser === user) return;
  throw new SupervisorError(
    "USER_MISMATCH",
    "this access key does not belong to the user in the path",
  );
}
