/** Room: gateway. The public listener: finds out who asks, holds the path against it, and hands the request to a front. Reads the path grammar on raw bytes; never trusts a name in it. */
import type { IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Audit } from "../audit/audit.ts";
import type { Config } from "../config/config.ts";
import { guarded } from "../containment.ts";
import { SupervisorError, toSupervisorError } from "../errors.ts";
import { Edge } from "../http/edge.ts";
import type { BodyRequest } from "../http/body-request.ts";
import { sendError } from "../http/error-response.ts";
import { createGuard } from "../http/guard.ts";
import { closeServer, createHttpServer, listen, stopListening } from "../http/listen.ts";
import { newRequestId } from "../http/request-id.ts";
import { NO_PAGE } from "../http/safe-response.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Requests } from "../telemetry/requests.ts";
import type { Principal, Registry } from "../auth/registry.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { Supervisor } from "../instances/supervisor.ts";
import { authenticate } from "./authenticate.ts";
import { BodyReader } from "./body-reader.ts";
import { Heart } from "./client-stream.ts";
import { answerCors } from "./cors.ts";
import { refusePost, serveHttp } from "./front-http.ts";
import { openSseStream, postSseMessage } from "./front-sse.ts";
import { createRouter, prefixOf } from "./routes.ts";
import type { Leaf, Route } from "./routes.ts";
import { hintFor } from "./hints.ts";
import { createSite } from "./site.ts";
import { Trace } from "./trace.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";

export interface GatewayOptions {
  config: Config;
  registry: Registry;
  catalog: Catalog;
  sessions: Sessions;
  supervisor: Supervisor;
  log: Logger;
  requests: Requests;
  audit: Audit;
  version: string;
  /** A listener that is open already, in place of the configured address. */
  listenFd?: number | undefined;
}

export interface Gateway {
  /** Where it listens, which is the configured address unless its port was 0 or the listener was handed over. */
  address: { host: string; port: number };
  /** Takes nothing new. Resolves when whoever waits for an answer has it, or was told after `stopTimeout` that none comes, and all is closed. */
  close(): Promise<void>;
}

const METHODS: Record<Leaf, readonly string[]> = {
  sse: ["GET"],
  messages: ["POST"],
  mcp: ["POST", "GET", "DELETE"],
};

/** Opens the public listener. Rejects with LISTEN_FAILED. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, registry, catalog, sessions, supervisor, log, requests, audit } = options;
  const edge = new Edge(config.trustProxy, (address) =>
    log.warn({ remote_addr: address }, "too many connections: new ones are turned away"),
  );
  const check = (req: IncomingMessage): Principal => authenticate(req, registry);
  const identify = (req: IncomingMessage): Principal => edge.admit(req, check);
  const context: FrontContext = {
    config,
    sessions,
    edge,
    heart: new Heart(),
    bodies: new BodyReader(),
    prefix: prefixOf(config.publicUrl),
  };
  const route = createRouter(context.prefix);
  const guard = createGuard({
    hosts: [config.publicUrl.host, config.listen.host, ...config.allowedHosts],
    origins: [config.publicUrl.origin, ...config.allowedOrigins],
    pages: "loopback",
  });
  const isPersonal = (url: string) =>
    url.startsWith("/u/") || (context.prefix !== "" && url.startsWith(`${context.prefix}/u/`));
  const site = createSite(options, identify);

  const server = createHttpServer(answer, {
    edge,
    onRefused: (requestId, refusal, request) => requests.refusedUnread(requestId, refusal, request),
  });

  function answer(req: BodyRequest, res: SafeResponse): void {
    // Whatever form the path has, and whoever answers: a page of ours says so itself.
    res.forBrowsers = NO_PAGE;
    const requestId = newRequestId();
    const trace = new Trace(
      { requests, audit, log, address: edge.addresses.of(req) },
      req,
      res,
      requestId,
    );
    const say = (error: unknown): void => {
      trace.fail(error, hintFor(toSupervisorError(error), req, registry));
      if (req.method === "POST" && route(req.url ?? "")?.leaf === "mcp")
        refusePost({ res, requestId }, error, []);
      else sendError(res, error, requestId, "client");
    };
    const refuse = (error: unknown): void => guarded("request", () => res.destroy(), say)(error);
    try {
      serve(req, res, trace)?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  }

  function serve(req: BodyRequest, res: SafeResponse, trace: Trace): Promise<void> | undefined {
    const url = req.url ?? "";
    const found = route(url);
    if (found !== undefined) trace.setRoute(found.leaf, found.user);
    guard(req);
    if (answerCors(req, res, config.allowedOrigins)) return undefined;
    if (!isPersonal(url) || url.includes("/.well-known/")) {
      const bare =
        context.prefix !== "" && url.startsWith(`${context.prefix}/`)
          ? url.slice(context.prefix.length)
          : url;
      req.url = bare;
      Object.assign(res, { locals: { trace } });
      res.settle();
      site(req, res);
      return undefined;
    }
    const principal = identify(req);
    trace.setPrincipal(principal);
    if (found === undefined)
      throw new SupervisorError("NOT_FOUND", "there is nothing at this path");
    if (found.user !== principal.user)
      throw new SupervisorError("USER_MISMATCH", "this access key does not open that path");
    const request = admit(req, res, trace, principal, found);
    if (found.leaf === "messages") return postSseMessage(context, request);
    if (found.leaf === "mcp") return serveHttp(context, request);
    openSseStream(context, request);
    return undefined;
  }

  function admit(
    req: BodyRequest,
    res: SafeResponse,
    trace: Trace,
    principal: Principal,
    found: Route,
  ): RequestContext {
    const def = catalog.find(found.server ?? config.defaultServer);
    if (def === undefined) throw new SupervisorError("SERVER_NOT_FOUND", "there is no such server");
    trace.setServer(def.name);
    requireMethod(req, res, found.leaf);
    // Last: what is refused leaves no instance behind, not even a stopped one.
    const instance = supervisor.instance({ user: principal.user, server: def.name, variant: "" });
    const { requestId } = trace;
    return { req, res, requestId, trace, principal, route: found, server: def, instance };
  }

  const { listenFd } = options;
  const port = await listen(server, listenFd === undefined ? config.listen : { fd: listenFd });
  const bound = server.address() as AddressInfo;
  return {
    close: async () => {
      const closed = stopListening(server);
      const why = "the daemon is stopping; try again when it runs again";
      await sessions.finish(new SupervisorError("STOPPING", why), config.stopTimeoutMs);
      // Whoever waits for a start hears of its end. What fails is told to whoever stops the supervisor next.
      supervisor.stopAll().catch(() => undefined);
      await sessions.told();
      context.heart.stop();
      await closeServer(server, closed);
    },
    address: { host: listenFd === undefined ? config.listen.host : bound.address, port },
  };
}

/** What is sent with a refused method is not read: DELETE and friends may carry a body that nobody asked for. */
function requireMethod(req: BodyRequest, res: SafeResponse, leaf: Leaf): void {
  const allowed = METHODS[leaf];
  if (allowed.includes(req.method ?? "")) return;
  res.setHeader("allow", allowed.join(", "));
  throw new SupervisorError("METHOD_NOT_ALLOWED", `only ${allowed.join(", ")} here`);
}
