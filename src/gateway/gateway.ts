/** Room: gateway. The public listener: finds out who asks, holds the path against it, and hands the request to a front. Reads the path grammar on raw bytes; never trusts a name in it. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Config } from "../config/config.ts";
import { SupervisorError } from "../errors.ts";
import { Edge } from "../http/edge.ts";
import { closeServer, createHttpServer, listen, stopListening } from "../http/listen.ts";
import { answersItself } from "../http/self-check.ts";
import { BodyReader } from "./body-reader.ts";
import { Heart } from "./client-stream.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { DispatcherOptions } from "./dispatcher.ts";
import type { FrontContext } from "./request-context.ts";
import { prefixOf } from "./routes.ts";
import { callbackUrl, connectUrl } from "../web/urls.ts";
import { TokenGate } from "../sessions/token-gate.ts";

/** When clients come back whose streams a stop has ended: the service manager keeps the listener open. */
const RETURN_MS = 1_000;
/** As that, where the port refuses until the daemon runs again. Python gives up after two tries. */
const RETURN_REFUSED_MS = 3_000;

export interface GatewayOptions extends DispatcherOptions {
  config: Config;
  sessions: FrontContext["sessions"];
  /** A listener that is open already, in place of the configured address. */
  listenFd?: number | undefined;
}

export interface Gateway {
  /** Where it listens, which is the configured address unless its port was 0 or the listener was handed over. */
  readonly address: { host: string; port: number };
  /** What personal URLs start with: that of the config, with the real port where the config leaves it to the system. */
  readonly publicUrl: URL;
  /** Whether it answers a request of the daemon's own within that time. */
  answersItself(withinMs: number): Promise<boolean>;
  /** Takes nothing new. Resolves when whoever waits for an answer has it, or was told after `stopTimeout` that none comes, and all is closed. */
  close(): Promise<void>;
}

/** Opens the public listener. Rejects with LISTEN_FAILED. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { config, log, requests } = options;
  const edge = new Edge(config.trustProxy, (address) =>
    log.warn({ remote_addr: address }, "too many connections: new ones are turned away"),
  );
  const context = contextOf(options, edge);
  const dispatcher = new Dispatcher(options, context);
  const server = createHttpServer(dispatcher.answer, {
    edge,
    takesUpgrades: true,
    own: config.requestReader === "own" ? dispatcher.hot : undefined,
    onRefused: (requestId, refusal, request) => requests.refusedUnread(requestId, refusal, request),
  });
  const address = await listenAsTold(server, options);
  const { publicUrl } = context;
  if (publicUrl.port === "0") publicUrl.port = String(address.port);
  options.tokens.connects.reachableAt({
    callback: callbackUrl(publicUrl),
    page: (user, name) => connectUrl(publicUrl, user, name),
  });
  return {
    address,
    publicUrl,
    answersItself: (withinMs) => answersItself({ ...address, path: "/health" }, withinMs),
    close: () => closeGateway(options, context, server),
  };
}

function contextOf(options: GatewayOptions, edge: Edge): FrontContext {
  const { config, sessions, tokens, supervisor } = options;
  return {
    config,
    sessions,
    edge,
    gate: new TokenGate(tokens, supervisor),
    heart: new Heart(),
    bodies: new BodyReader(),
    prefix: prefixOf(config.publicUrl),
    publicUrl: new URL(config.publicUrl),
  };
}

/** Listens on the configured address, or on the listener that the service manager handed over. */
async function listenAsTold(
  server: Server,
  { config, listenFd, log }: GatewayOptions,
): Promise<Gateway["address"]> {
  if (listenFd === undefined)
    return { host: config.listen.host, port: await listen(server, config.listen) };
  const port = await listen(server, { fd: listenFd });
  const address = { host: (server.address() as AddressInfo).address, port };
  if (config.listen.port !== 0 && port !== config.listen.port)
    log.warn(
      { handedOver: address, configured: config.listen },
      "the listener that systemd handed over is not the one of the config: change one of them",
    );
  return address;
}

async function closeGateway(
  { config, sessions, supervisor, listenFd }: GatewayOptions,
  { heart }: FrontContext,
  server: Server,
): Promise<void> {
  const closed = stopListening(server);
  heart.announceReturn(listenFd === undefined ? RETURN_REFUSED_MS : RETURN_MS);
  const why = "the daemon is stopping; try again when it runs again";
  await sessions.finish(new SupervisorError("STOPPING", why), config.stopTimeoutMs);
  // Whoever waits for a start hears of its end. What fails is told to whoever stops the supervisor next.
  supervisor.stopAll().catch(() => undefined);
  await sessions.told();
  heart.stop();
  // Those that became something else the server does not count among its connections.
  sessions.open.closeAll();
  await closeServer(server, closed);
}
