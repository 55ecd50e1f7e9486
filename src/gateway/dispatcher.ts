import type { Audit } from "../audit/audit.ts";
import type { Principal, Registry } from "../auth/registry.ts";
import type { Builtins } from "../builtins/builtins.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { guarded } from "../containment.ts";
import { toSupervisorError } from "../errors.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import type { StreamableResponse, HttpRequest, RequestHead } from "../http/exchange.ts";
import type { OwnReaderOptions } from "../http/own-reader/reader.ts";
import { sendError } from "../http/error-response.ts";
import { createGuard } from "../http/guard.ts";
import { perHead } from "../http/per-head.ts";
import { newRequestId } from "../http/request-id.ts";
import { NO_PAGE } from "../http/safe-response.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Tokens } from "../tokens/tokens.ts";
import type { Requests } from "../telemetry/requests.ts";
import { authenticate } from "./authenticate.ts";
import { answerCors } from "./cors.ts";
import { refusePost } from "./front-http.ts";
import { isForPerson, refusePerson } from "./browser-refusal.ts";
import { Me } from "./me/me.ts";
import { allowOnly } from "./methods.ts";
import { hintFor } from "./hints.ts";
import type { FrontContext } from "./request-context.ts";
import { Personal } from "./personal.ts";
import type { Incoming, NodeIncoming } from "./personal.ts";
import {
  createMeRouter,
  createRouter,
  createWebRouter,
  toolRouteOf,
  withoutPrefix,
} from "./routes.ts";
import type { Leaf, Route, ToolRoute } from "./routes.ts";
import { TOOL_METHODS, serveTools } from "./tool-routes.ts";
import { createSite } from "./site.ts";
import type { SiteOptions } from "./site.ts";
import { Trace } from "./trace.ts";
import { Web } from "./web.ts";
import { AppPages } from "../web/app-pages.ts";
import { mePageUrl } from "../web/urls.ts";
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

/** Where messages are posted, and event streams opened. */
const HOT_LEAVES: Readonly<Record<"GET" | "POST", readonly (Leaf | undefined)[]>> = {
  POST: ["messages", "mcp"],
  GET: ["sse", "mcp"],
};

/** Takes each request of the public listener: finds out who asks, holds the path against it, and hands it to its front. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #context: FrontContext;
  readonly #route: ReturnType<typeof createRouter>;
  readonly #personal: Personal;
  readonly #hotRoute: (req: RequestHead) => Route;
  readonly #guard: (req: RequestHead) => true;
  readonly #addressOf: (req: RequestHead) => string;
  readonly #site: ReturnType<typeof createSite>;
  readonly #webRoute: ReturnType<typeof createWebRouter>;
  readonly #web: Web;
  readonly #meRoute: ReturnType<typeof createMeRouter>;
  readonly #me: Me;
  readonly #authenticate = (req: RequestHead): Principal | Promise<Principal> =>
    authenticate(req, this.#options.registry);

  constructor(options: DispatcherOptions, context: FrontContext) {
    const { publicUrl, listen, allowedHosts, allowedOrigins, environment } = context.config;
    this.#options = options;
    this.#context = context;
    this.#route = createRouter(context.prefix);
    this.#personal = new Personal(options, context);
    this.#addressOf = perHead((req) => context.edge.addresses.of(req));
    this.#hotRoute = perHead(({ url = "" }) => this.#route(url)!);
    const guard = createGuard({
      hosts: [publicUrl.host, listen.host, ...allowedHosts],
      origins: [publicUrl.origin, ...allowedOrigins],
      pages: "loopback",
      dotless: Object.keys(environment).length > 0,
    });
    this.#guard = perHead((req) => {
      guard(req);
      return true as const;
    });
    const identify = (req: RequestHead): Principal | Promise<Principal> => this.#identify(req);
    this.#site = createSite(options, identify, context.prefix);
    this.#webRoute = createWebRouter(context.prefix);
    const pages = new Pages(context.prefix);
    const apps = new AppPages(context.prefix);
    this.#web = new Web({ ...options, ...context, pages, apps, identify });
    this.#meRoute = createMeRouter(context.prefix);
    this.#me = new Me({ ...options, ...context, apps });
  }

  /** Answers the request, or refuses it; never throws. */
  readonly answer = (req: BodyRequest, res: SafeResponse): void => {
    const incoming = { req, res, trace: this.#traceOf(req, res) };
    this.#orRefuse(incoming, () => this.#serve(incoming));
  };

  /** Messages of clients, and the streams that they open, which the own reader may read. */
  readonly hot: OwnReaderOptions = {
    isHot: (method, url) => HOT_LEAVES[method].includes(this.#route(url)?.leaf),
    handle: (req, res) => {
      const incoming = { req, res, trace: this.#traceOf(req, res) };
      this.#orRefuse(incoming, () => this.#serveHot(incoming));
    },
  };

  #traceOf(req: HttpRequest, res: StreamableResponse): Trace {
    // No answer of ours is a page for a browser, whatever the path and whoever answers.
    res.forBrowsers = NO_PAGE;
    const { requests, audit, log } = this.#options;
    const address = this.#addressOf(req);
    return new Trace({ requests, audit, log, address }, req, res, newRequestId());
  }

  /** Refuses with what the work throws, or rejects with. */
  #orRefuse(incoming: Incoming, serve: () => Promise<void> | undefined): void {
    try {
      serve()?.catch((error: unknown) => this.#refuse(incoming, error));
    } catch (error) {
      this.#refuse(incoming, error);
    }
  }

  #serveHot(incoming: Incoming): Promise<void> | undefined {
    const route = this.#hotRoute(incoming.req);
    // Neither a POST nor a GET is a preflight, so this answers none.
    this.#isAnswered(incoming, route);
    return this.#serveOwner(incoming, route);
  }

  /** What every request goes through; whether it was a preflight, which is answered with that. Throws ORIGIN_REFUSED, HOST_REFUSED or REQUEST_INVALID. */
  #isAnswered({ req, res, trace }: Incoming, route: Route | undefined): boolean {
    if (route !== undefined) trace.setRoute(route.leaf, route.user);
    this.#guard(req);
    return answerCors(req, res, this.#context.config.allowedOrigins);
  }

  #serve(incoming: NodeIncoming): Promise<void> | undefined {
    const url = incoming.req.url ?? "";
    const route = this.#route(url);
    if (this.#isAnswered(incoming, route)) return undefined;
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
    if (route === undefined) return this.#serveOther(incoming);
    return this.#serveOwner(incoming, route);
  }

  #serveOwner(incoming: Incoming, route: Route): Promise<void> | undefined {
    const found = this.#identify(incoming.req);
    return found instanceof Promise
      ? found.then((principal) => this.#known(incoming, route, principal))
      : this.#known(incoming, route, found);
  }

  /** Goes on for whoever asks. */
  #known(incoming: Incoming, route: Route, principal: Principal): Promise<void> | undefined {
    // Whoever has left meanwhile has no end that anything could be tied to.
    if (incoming.res.destroyed) return undefined;
    incoming.trace.setPrincipal(principal);
    return this.#personal.serve(incoming, route, principal);
  }

  /** What is below `/u/` and for none of the fronts. */
  async #serveOther(incoming: NodeIncoming): Promise<void> {
    const principal = await this.#identify(incoming.req);
    if (incoming.res.destroyed) return;
    incoming.trace.setPrincipal(principal);
    await this.#personal.serveOther(incoming, principal);
  }

  /** Paths that are nobody's: the site knows them without the prefix. */
  #serveSite({ req, res, trace }: NodeIncoming, url: string): void {
    const { prefix } = this.#context;
    req.url = withoutPrefix(url, prefix);
    Object.assign(res, { locals: { trace } });
    res.settle();
    this.#site(req, res);
  }

  /** The user's tools, for who speaks no MCP: whose they are is said by the secret alone. */
  async #serveTools({ req, res, trace }: NodeIncoming, route: ToolRoute): Promise<void> {
    trace.setRoute("tools");
    const principal = await this.#identify(req);
    if (res.destroyed) return;
    trace.setPrincipal(principal);
    allowOnly(req, res, TOOL_METHODS[route]);
    return await serveTools(route, this.#context, this.#options, { req, res, trace, principal });
  }

  #refuse(incoming: Incoming, error: unknown): void {
    const say = (): void => this.#say(incoming, error);
    guarded("request", () => incoming.res.destroy(), say)();
  }

  #say({ req, res, trace }: Incoming, error: unknown): void {
    const { requestId } = trace;
    const refusal = toSupervisorError(error);
    trace.fail(error, hintFor(refusal, req, this.#options.registry));
    const { config, publicUrl } = this.#context;
    const page = config.pages === false ? null : mePageUrl(publicUrl);
    if (isForPerson(req, refusal)) refusePerson(res, refusal, { requestId, page });
    else if (req.method === "POST" && this.#route(req.url ?? "")?.leaf === "mcp")
      refusePost({ res, requestId }, error, []);
    else sendError(res, error, requestId, "client");
  }

  #identify(req: RequestHead): Principal | Promise<Principal> {
    return this.#context.edge.admit(req, this.#authenticate);
  }

  #isPersonal(url: string): boolean {
    const { prefix } = this.#context;
    return url.startsWith("/u/") || (prefix !== "" && url.startsWith(`${prefix}/u/`));
  }
}
