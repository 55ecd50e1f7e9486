import type { Builtins } from "../builtins/builtins.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Principal } from "../auth/registry.ts";
import type { ServerDef } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import type { HttpRequest, StreamableResponse } from "../http/exchange.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import { serveHttp } from "./front-http.ts";
import { openSseStream, postSseMessage } from "./front-sse.ts";
import { allowOnly } from "./methods.ts";
import { OWN_ROUTE_METHODS, requireRoute } from "./own-route-path.ts";
import { nameOf, putOwnToken } from "./own-token.ts";
import type { OwnTokenParts } from "./own-token.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";
import { createOwnRouter, createTokenPath } from "./routes.ts";
import type { Leaf, Route } from "./routes.ts";
import { settingsOf } from "./session-config.ts";
import type { Trace } from "./trace.ts";

export interface PersonalParts extends Omit<OwnTokenParts, "edge"> {
  catalog: Catalog;
  supervisor: Supervisor;
  builtins: Pick<Builtins, "markOf">;
}

/** A request as it came in, before anything is known of it. */
export interface Incoming {
  req: HttpRequest;
  res: StreamableResponse;
  trace: Trace;
}

/** One that Node has read, which may be for anything. */
export interface NodeIncoming extends Incoming {
  req: BodyRequest;
  res: SafeResponse;
}

const METHODS: Record<Leaf, readonly string[]> = {
  sse: ["GET"],
  messages: ["POST"],
  mcp: ["POST", "GET", "DELETE"],
};

/** Requests below `/u/` of somebody who is known: held against the path, and handed to their front. */
export class Personal {
  readonly #parts: PersonalParts;
  readonly #context: FrontContext;
  readonly #ownRoute: ReturnType<typeof createOwnRouter>;
  readonly #tokenPath: ReturnType<typeof createTokenPath>;

  constructor(parts: PersonalParts, context: FrontContext) {
    this.#parts = parts;
    this.#context = context;
    this.#ownRoute = createOwnRouter(context.prefix);
    this.#tokenPath = createTokenPath(context.prefix);
  }

  /** Answers what one of the fronts is there for. */
  serve(
    { req, res, trace }: Incoming,
    route: Route,
    principal: Principal,
  ): Promise<void> | undefined {
    requireOwn(route.user, principal);
    const server = this.#requireServer(route, principal);
    trace.setServer(server.name);
    allowOnly(req, res, METHODS[route.leaf]);
    const settings = settingsOf(this.#parts.builtins, server, req);
    // Last: what is refused leaves no instance behind, not even a stopped one.
    const ref = { user: principal.user, server: server.name, variant: "" };
    const instance = this.#parts.supervisor.instance(ref);
    const { requestId } = trace;
    const whose = { principal, route, server, instance, settings };
    return this.#serveFront({ req, res, requestId, trace, ...whose });
  }

  /** Answers what a server has routes of its own for, or the user a token for it. */
  async serveOther(incoming: NodeIncoming, principal: Principal): Promise<void> {
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
    const instance = this.#parts.supervisor.instance(ref);
    const { requestId } = trace;
    const request = { req, res, trace, requestId, principal, route, server, instance };
    // Few have such routes, and what carries them is not for all to hold in memory.
    const { serveOwnRoute } = await import("./own-routes.ts");
    await serveOwnRoute(this.#context, request, prefix);
  }

  async #serveOwnToken({ req, res, trace }: NodeIncoming, principal: Principal): Promise<void> {
    const owner = this.#context.config.selfService ? this.#tokenPath(req.url ?? "") : undefined;
    if (owner === undefined)
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
    trace.setRoute("other", owner);
    requireOwn(owner, principal);
    allowOnly(req, res, ["PUT"]);
    const parts = { ...this.#parts, edge: this.#context.edge };
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

  /** One that is not granted to the user is not there, and the admin alone is told which of both it is. */
  #requireServer(
    route: Pick<Route, "user" | "server"> & { leaf?: Leaf },
    { user }: Principal,
  ): ServerDef {
    const { catalog } = this.#parts;
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
