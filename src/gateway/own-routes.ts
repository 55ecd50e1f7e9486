import { Agent as HttpAgent } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Socket } from "node:net";
import { ProxyServer } from "httpxy";
import { contained, guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import type { Instance, Live } from "../instances/supervisor.ts";
import type { HttpTarget } from "../links/target.ts";
import { requireHttp } from "../links/target.ts";
import { hostIn, lookupFor, portIn, requireAllowedHost } from "../platform/address.ts";
import type { BodyRequest } from "../platform/body-request.ts";
import { sendError } from "../http/error-response.ts";
import type { SafeResponse } from "../http/safe-response.ts";
import { explainFailure } from "../sessions/exit.ts";
import { BoundedBody, framingOf, requireFitting } from "./own-route-body.ts";
import { headersOfUpgrade, headersToClient, headersToServer } from "./own-route-headers.ts";
import { SANDBOXED } from "./own-route-headers.ts";
import { locationFor, withoutSecret } from "./own-route-path.ts";
import type { FrontContext, RequestContext } from "./request-context.ts";
import { queryOf } from "./routes.ts";
import type { OwnRoute } from "./routes.ts";

/** A request for a path of the server's own. */
export interface OwnRouteRequest extends Omit<
  RequestContext,
  "route" | "settings" | "req" | "res"
> {
  readonly req: BodyRequest;
  readonly res: SafeResponse;
  readonly route: OwnRoute;
}

/**
 * Carries the request to the path of the server's own, and the answer back, in pieces as they come.
 * Rejects as `Instance.ensure`, with TOO_MANY_STREAMS, BODY_TOO_LARGE, and UPSTREAM_REFUSED,
 * UPSTREAM_RESET or UPSTREAM_INVALID for what the server does.
 */
export async function serveOwnRoute(
  context: FrontContext,
  request: OwnRouteRequest,
  prefix: string,
): Promise<void> {
  const { req, res, trace, principal, server, instance } = request;
  const { sessions, gate } = context;
  if (sessions.refusal !== undefined) throw sessions.refusal;
  let lastAt: number | undefined;
  const heard = (): void => void (lastAt = performance.now());
  const close = (): void => void res.socket?.destroy();
  // What only reads can be asked for again, and may go on for ever.
  const isStream = req.method === "GET" || req.method === "HEAD";
  trace.atEnd(
    isStream
      ? sessions.open.addStream(principal, close, () => lastAt, server.name)
      : sessions.open.add(principal, close, server.name),
  );
  await requireFitting(req, context.config.limits.bodyBytes);
  await gate.waitOfCall(principal.user, server);
  const live = instance.live ?? (await instance.ensure());
  // The client may have left while the child was starting; the child stays for its next try.
  if (res.destroyed) return;
  trace.setGeneration(live.generation);
  trace.atEnd(countIn(instance, live));
  // No process of ours ends with it that would break the connection.
  if (live.pid === null) void live.exited.then(close);
  const carrying = new Carrying({ context, request, prefix, live, heard });
  await (req.tunnel === undefined ? carrying.exchange() : carrying.upgrade(req.tunnel));
}

/** Until the request is over the child is in use, and has it to answer. */
function countIn({ usage }: Instance, { work }: Live): () => void {
  usage.inFlight += 1;
  work.begin();
  return () => {
    usage.inFlight -= 1;
    usage.lastMessageAt = performance.now();
    work.end();
  };
}

interface CarryingParts {
  readonly context: FrontContext;
  readonly request: OwnRouteRequest;
  readonly prefix: string;
  readonly live: Live;
  /** The server said something. */
  readonly heard: () => void;
}

type Where = NonNullable<ConstructorParameters<typeof ProxyServer>[0]>;

/** One request on its way, with a proxy of its own: what it tells is about this request. */
class Carrying {
  readonly #parts: CarryingParts;
  readonly #target: HttpTarget;
  readonly #proxy = new ProxyServer({ prependPath: false });

  constructor(parts: CarryingParts) {
    this.#parts = parts;
    this.#target = requireHttp(parts.live.target);
    const { request } = parts;
    const { req, route } = request;
    const { url, headers } = this.#target;
    const path = withoutSecret(route.path, queryOf(req.url ?? ""));
    const passed = headersToServer(req.rawHeaders, req.headers.connection);
    const framing = framingOf(req);
    req.url = path;
    req.headers = { ...passed, ...lowerCase(headers), ...framing, host: url.host };
  }

  async exchange(): Promise<void> {
    const { context, request, live } = this.#parts;
    const { req, res } = request;
    this.#proxy.on("proxyRes", (answer) =>
      guarded(
        "request",
        () => res.socket?.destroy(),
        () => this.#answer(answer),
      )(),
    );
    let asking: ClientRequest | undefined;
    this.#proxy.once("proxyReq", (one) => (asking = one));
    const { bodyBytes } = context.config.limits;
    const body = new BoundedBody(req, bodyBytes, () => asking?.destroy());
    const where = { ...this.#where(), selfHandleResponse: true, buffer: body.stream };
    try {
      await this.#proxy.web(req, res, where);
    } catch (error) {
      if (res.headersSent || res.destroyed) return void res.socket?.destroy();
      throw body.refusal ?? (await explainFailure(failureOf(error), live));
    }
  }

  /** Resolves when the connection is over, whoever ended it. */
  async upgrade({ socket, head }: NonNullable<BodyRequest["tunnel"]>): Promise<void> {
    const { request, heard } = this.#parts;
    const { res, req, server, trace } = request;
    req.headers = { ...req.headers, connection: "Upgrade", upgrade: "websocket" };
    this.#proxy.on("proxyReqWs", (asking: ClientRequest) => {
      asking.once("upgrade", (answer: IncomingMessage, theirs: Socket) => {
        answer.headers = headersOfUpgrade(answer.headers);
        trace.answeredApart(101);
        trace.atEnd(() => theirs.destroy());
        theirs.once("close", () => socket.destroy());
      });
      asking.once("response", (answer: IncomingMessage) => {
        trace.answeredApart(answer.statusCode ?? 502);
        answer.headers = this.#headersOf(answer);
      });
    });
    // Not before the two are joined: what comes meanwhile would be heard by this and by nobody else.
    this.#proxy.on("open", (theirs: Socket) => {
      theirs.on("data", heard);
      socket.on("data", heard);
    });
    // Before the proxy ends the socket, which it does with no word.
    this.#proxy.on("error", (error: unknown) => {
      if (socket.destroyed || !socket.writable) return;
      const failure = contained("request", failureOf(error));
      trace.fail(failure);
      sendError(res, failure, trace.requestId, "client");
    });
    const where = { ...this.#where(), upgradeTimeout: server.startTimeoutMs };
    await this.#proxy.ws(req, socket, where, head);
  }

  #where(): Where {
    const { url, isRemote, socketPath, reach = "any" } = this.#target;
    if (isRemote) requireAllowedHost(url.hostname, reach);
    const { protocol } = url;
    const isSecure = protocol === "https:";
    const options = { keepAlive: false, lookup: lookupFor(reach) } as object;
    return {
      target: {
        protocol,
        host: hostIn(url),
        port: portIn(url),
        ...(socketPath !== null && { socketPath }),
      },
      agent: isSecure ? new HttpsAgent(options) : new HttpAgent(isRemote ? options : {}),
    };
  }

  #answer(answer: IncomingMessage): void {
    const { res } = this.#parts.request;
    const headers = this.#headersOf(answer);
    res.forBrowsers = SANDBOXED;
    try {
      res.writeHead(answer.statusCode ?? 502, headers);
    } catch (cause) {
      answer.destroy();
      const { trace } = this.#parts.request;
      const what = "the server answered with a status or a header that no answer can have";
      const failure = new SupervisorError("UPSTREAM_INVALID", what, { cause });
      trace.fail(failure);
      return sendError(res, failure, trace.requestId, "client");
    }
    // A stream is open before anything comes on it.
    res.flushHeaders();
    answer.on("data", this.#parts.heard);
    answer.pipe(res);
  }

  #headersOf(answer: IncomingMessage): Record<string, string | string[]> {
    const { context, request, prefix } = this.#parts;
    const { route, principal, server, req } = request;
    const asked = new URL(req.url ?? "", this.#target.url.origin);
    const base = `${context.prefix}/u/${principal.user}/${route.server ?? server.name}/-`;
    const location = locationFor(answer.headers.location, asked, { prefix, base });
    return headersToClient(answer.headers, location);
  }
}

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

function failureOf(cause: unknown): SupervisorError {
  if (cause instanceof SupervisorError) return cause;
  const { code = "" } = cause as NodeJS.ErrnoException;
  if (code.startsWith("HPE_"))
    return new SupervisorError("UPSTREAM_INVALID", "the server's answer is not HTTP/1.1", {
      cause,
    });
  if (code === "ERR_UPSTREAM_UPGRADE_TIMEOUT")
    return new SupervisorError("UPSTREAM_TIMEOUT", "the server did not answer in time", { cause });
  return code === "ECONNREFUSED"
    ? new SupervisorError("UPSTREAM_REFUSED", "nothing listens where the server should", { cause })
    : new SupervisorError("UPSTREAM_RESET", "the server ended the connection", { cause });
}
