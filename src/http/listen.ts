import { Server } from "node:http";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { contained, guarded } from "../containment.ts";
import { SupervisorError } from "../errors.ts";
import { BodyRequest } from "../platform/body-request.ts";
import { plainAddress } from "./client-address.ts";
import type { Edge } from "./edge.ts";
import { errorBody, sendError } from "./error-response.ts";
import { answerOn, setKeptAlive } from "../platform/node-inside.ts";
import { OwnReader } from "./own-reader/reader.ts";
import type { OwnReaderOptions, ReaderListener } from "./own-reader/reader.ts";
import { newRequestId } from "./request-id.ts";
import { NO_PAGE, SafeResponse } from "./safe-response.ts";

/** 16 KiB of headers is what nginx and Node allow too. */
const MAX_HEADER_BYTES = 16 * 1024;
/** A client that needs longer for its headers is stuck or hostile. */
const HEADERS_TIMEOUT_MS = 10_000;
/** The end for bodies that nobody reads; one that is read is watched over by the edge. */
const REQUEST_TIMEOUT_MS = 300_000;
/** How late Node may be in ending what is over its time; 30 s unless told. */
const TIMEOUT_CHECK_MS = 2_000;
/** Longer than the keep-alive of the proxies in front (nginx: 60 s), so that they close first and no request races a close. */
const KEEP_ALIVE_MS = 65_000;
const TCP_KEEP_ALIVE_MS = 30_000;
/** For a client to read the last answer of a connection, and to end it. */
const CLOSING_MS = 10_000;

const BAD_REQUEST = { status: 400, reason: "Bad Request", message: "this is not HTTP/1.1" };
const TOO_LATE = {
  status: 408,
  reason: "Request Timeout",
  message: "the request did not arrive in time",
};
const REFUSALS: Record<string, typeof BAD_REQUEST> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: "Request Header Fields Too Large",
    message: "the headers are over 16 KiB",
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: {
    status: 413,
    reason: "Payload Too Large",
    message: "the chunk extensions are over 16 KiB",
  },
  ERR_HTTP_REQUEST_TIMEOUT: TOO_LATE,
};

/** What is known of a request that no handler saw; empty where it could not be read. */
export interface UnreadRequest {
  status: number;
  remoteAddress: string;
  method: string;
  /** Without the query. */
  path: string;
  userAgent: string;
}

/** Tells of refusals that no handler saw. */
export type RefusalListener = (
  requestId: string,
  refusal: SupervisorError,
  request: UnreadRequest,
) => void;

function unread(status: number, socket: Duplex, req?: IncomingMessage): UnreadRequest {
  const { remoteAddress = "" } = socket as Duplex & { remoteAddress?: string };
  return {
    status,
    remoteAddress: plainAddress(remoteAddress),
    method: req?.method ?? "",
    path: (req?.url ?? "").replace(/\?.*$/s, ""),
    userAgent: req?.headers["user-agent"] ?? "",
  };
}

interface HttpServerOptions {
  /** For listeners that the network reaches. */
  edge?: Edge;
  /** The handler is given requests that ask for a WebSocket as well, with their `tunnel`. */
  takesUpgrades?: boolean;
  /** Messages that the own reader takes, in place of Node's server. */
  own?: OwnReaderOptions | undefined;
  onRefused?: RefusalListener;
}

/** Answers without a ServerResponse, because there is none yet, and ends the connection. */
function endWith(
  socket: Duplex,
  { status, reason, message }: typeof BAD_REQUEST,
  onRefused: RefusalListener | undefined,
  req?: IncomingMessage,
): void {
  // A socket that has been ended may not tell any more.
  const known = unread(status, socket, req);
  const requestId = newRequestId();
  const refusal = new SupervisorError("REQUEST_INVALID", message);
  const body = errorBody(refusal, requestId, "client");
  body.error.code = status;
  const text = JSON.stringify(body);
  const headers = {
    ...NO_PAGE,
    connection: "close",
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  };
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\n${head.join("")}\r\n${text}`,
    // What still comes is not read, and an end that the peer does not answer would stay half open.
    () => socket.destroy(),
  );
  onRefused?.(requestId, refusal, known);
}

/** Node answers what it cannot parse with an empty body; every refusal of ours is JSON. */
function answerUnparsable(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  onRefused: RefusalListener | undefined,
): void {
  const answer = answerOn(socket);
  // Behind a whole request, or within an answer, another answer would be taken for a part of that one.
  const isMisplaced = answer != null && (answer.headersSent || answer.req.complete);
  if (!socket.writable || error.code === "ECONNRESET" || isMisplaced) socket.destroy();
  else endWith(socket, REFUSALS[error.code ?? ""] ?? BAD_REQUEST, onRefused);
}

/** Lets a client that asked first send its body when somebody begins to read it, so not when the request is refused. */
function holdContinue(req: IncomingMessage, res: ServerResponse): void {
  // Whether a client sends its body behind a refusal is its choice, so the next bytes could be either.
  setKeptAlive(res, false);
  req.once("resume", () => {
    if (res.headersSent) return;
    setKeptAlive(res, true);
    res.writeContinue();
  });
}

function refuseExpectation(
  req: IncomingMessage,
  res: SafeResponse,
  onRefused: RefusalListener | undefined,
): void {
  const refusal = new SupervisorError(
    "EXPECTATION_FAILED",
    "the Expect header may name 100-continue only",
  );
  const requestId = newRequestId();
  setKeptAlive(res, false);
  res.forBrowsers = NO_PAGE;
  sendError(res, refusal, requestId, "client");
  onRefused?.(requestId, refusal, unread(refusal.status, req.socket, req));
}

/** Node gives a request that asks for an upgrade no answer to write; the connection ends with this one. */
function answerTo(
  req: BodyRequest,
  socket: Socket,
  head: Buffer,
): InstanceType<typeof SafeResponse<typeof req>> {
  req.tunnel = { socket, head };
  const res = new SafeResponse<BodyRequest>(req);
  setKeptAlive(res, false);
  res.assignSocket(socket);
  res.once("finish", () => socket.end());
  socket.on("error", () => socket.destroy());
  return res;
}

/** What a connection begins; whatever that throws costs this connection and nothing else. */
function within(socket: Duplex, work: () => void): void {
  guarded("request", () => socket.destroy(), work)();
}

type Handler = RequestListener<typeof BodyRequest, typeof SafeResponse>;

/** Node's server, which closes the connections of the own reader with its own. */
class Listener extends Server<typeof BodyRequest, typeof SafeResponse> {
  reader: OwnReader | undefined;

  override closeIdleConnections(): void {
    super.closeIdleConnections();
    this.reader?.closeIdle();
  }

  override closeAllConnections(): void {
    super.closeAllConnections();
    this.reader?.closeAll();
  }
}

/** From here on the own reader has each connection first. */
function readOwn(
  server: Listener,
  options: OwnReaderOptions,
  onRefused: RefusalListener | undefined,
): void {
  // As documented, a server takes a connection that is given to it by this event.
  const [adopt] = server.listeners("connection") as ((socket: Socket) => void)[];
  const listener: ReaderListener = {
    limits: {
      firstMs: HEADERS_TIMEOUT_MS,
      idleMs: KEEP_ALIVE_MS,
      closingMs: CLOSING_MS,
      lingerMs: REQUEST_TIMEOUT_MS,
    },
    sweepMs: TIMEOUT_CHECK_MS,
    get isListening() {
      return server.listening;
    },
    handOver(socket, rest) {
      // Still until Node listens, so that it gets every byte, and in order.
      socket.pause();
      socket.unshift(rest);
      adopt!.call(server, socket);
      socket.resume();
    },
    refuse: (socket, why) => endWith(socket, why === "late" ? TOO_LATE : BAD_REQUEST, onRefused),
  };
  const reader = new OwnReader(options, listener);
  server.reader = reader;
  server.off("connection", adopt!);
  server.on("connection", reader.accept);
  server.once("close", () => reader.stop());
}

/** A server with the limits that every listener of ours has; streams may stay silent for as long as they like. */
export function createHttpServer(
  handler: Handler,
  { edge, onRefused, own, takesUpgrades = false }: HttpServerOptions = {},
): Server {
  const handle: Handler = (req, res) => {
    try {
      handler(req, res);
    } catch (error) {
      contained("request", error);
      res.destroy();
    }
  };
  const server = new Listener(
    {
      IncomingMessage: BodyRequest,
      ServerResponse: SafeResponse,
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
      noDelay: true,
      // The guard looks at Host and answers in JSON; Node's own refusal has no body.
      requireHostHeader: false,
    },
    handle,
  );
  // Beyond that count some releases of Node drop headers in silence, and a second Host with them; the 16 KiB are bound enough.
  server.maxHeadersCount = 0;
  server.on("clientError", (error, socket) =>
    within(socket, () => answerUnparsable(error, socket, onRefused)),
  );
  server.on("checkContinue", (req, res) => {
    holdContinue(req, res);
    handle(req, res);
  });
  server.on("checkExpectation", (req, res: SafeResponse) => {
    within(req.socket, () => refuseExpectation(req, res, onRefused));
  });
  if (takesUpgrades)
    server.on("upgrade", (req: BodyRequest, socket: Socket, head: Buffer) =>
      within(socket, () => handle(req, answerTo(req, socket, head))),
    );
  server.on("connect", (req: IncomingMessage, socket: Duplex) => {
    const message = "CONNECT is not supported: this is not a proxy";
    const refusal = { status: 405, reason: "Method Not Allowed", message };
    within(socket, () => endWith(socket, refusal, onRefused, req));
  });
  edge?.guard(server);
  if (own !== undefined) readOwn(server, own, onRefused);
  return server;
}

/** Where a server listens: an address, the path of a unix socket, or a descriptor that somebody else opened. */
export type ListenAt = { host: string; port: number } | { path: string } | { fd: number };

/** Connections that wait to be accepted; the kernel takes fewer where net.core.somaxconn is lower. */
const BACKLOG = 4096;

function nameOf(at: ListenAt): string {
  if ("path" in at) return at.path;
  return "fd" in at ? `descriptor ${at.fd}` : `${at.host}:${at.port}`;
}

/** Resolves with the port once the server listens; rejects with LISTEN_FAILED and a sentence that names the address. */
export async function listen(server: Server, at: ListenAt): Promise<number> {
  const where = nameOf(at);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const why =
        cause.code === "EADDRINUSE" ? "something else listens there" : (cause.code ?? "failed");
      reject(new SupervisorError("LISTEN_FAILED", `cannot listen on ${where}: ${why}`, { cause }));
    });
    server.listen("path" in at ? at : { ...at, backlog: BACKLOG }, resolve);
  });
  const address = server.address();
  if (typeof address === "object" && address !== null) return address.port;
  // What was asked for as a path is one; what was handed over must be what the config speaks of.
  if ("path" in at) return 0;
  server.close();
  throw new SupervisorError("LISTEN_FAILED", `${where} is not a TCP listener`);
}

/** Takes no new connection from now on; resolves when those that are there are over. */
export async function stopListening(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

/** Resolves when the server and every connection of it is closed, streams included. */
export async function closeServer(server: Server, closed = stopListening(server)): Promise<void> {
  server.closeAllConnections();
  await closed;
}
