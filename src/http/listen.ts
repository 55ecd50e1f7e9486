import { createServer } from "node:http";
import type { RequestListener, Server } from "node:http";
import type { Duplex } from "node:stream";
import { SupervisorError } from "../errors.ts";
import { errorBody } from "./error-response.ts";
import { newRequestId } from "./request-id.ts";

/** 16 KiB of headers is what nginx and Node allow too. */
const MAX_HEADER_BYTES = 16 * 1024;
/** A client that needs longer for its headers, or for headers and body, is stuck or hostile. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 60_000;
/** Longer than the keep-alive of the proxies in front (nginx: 60 s), so that they close first and no request races a close. */
const KEEP_ALIVE_MS = 65_000;
const TCP_KEEP_ALIVE_MS = 30_000;

const PARSE_FAILURES: Record<string, { status: number; reason: string; message: string }> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    reason: "Request Header Fields Too Large",
    message: "the headers are over 16 KiB",
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    reason: "Request Timeout",
    message: "the request did not arrive in time",
  },
};

/** Node answers what it cannot parse with an empty body; every refusal of ours is JSON. */
function answerUnparsable(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const known = PARSE_FAILURES[error.code ?? ""];
  const { status, reason, message } = known ?? {
    status: 400,
    reason: "Bad Request",
    message: "this is not HTTP/1.1",
  };
  const refusal = new SupervisorError("REQUEST_INVALID", message);
  const body = errorBody(refusal, newRequestId(), "client");
  body.error.code = status;
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
}

/** A server with the limits that every listener of ours has; streams may stay silent for as long as they like. */
export function createHttpServer(handler: RequestListener): Server {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
      noDelay: true,
      // The guard looks at Host and answers in JSON; Node's own refusal has no body.
      requireHostHeader: false,
    },
    handler,
  );
  server.on("clientError", answerUnparsable);
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
  throw new SupervisorError("LISTEN_FAILED", `${where} is no TCP listener`);
}

/** Resolves when the server and every connection of it is closed, streams included. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
