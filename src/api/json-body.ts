import type { IncomingMessage } from "node:http";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { ZlibOptions } from "node:zlib";
import type { RequestHandler } from "express";
import { SupervisorError } from "../errors.ts";
import type { BodySink } from "../platform/body-request.ts";
import { IncomingBody } from "../http/body-watch.ts";
import type { Edge } from "../http/edge.ts";
import { readBody } from "../http/read-body.ts";

const MAX_BODY_BYTES = 1024 * 1024;

type Watch = Pick<Edge, "watch" | "unwatch">;

/** For a listener that the file system guards. */
const UNWATCHED: Watch = { watch: (late) => new IncomingBody(late), unwatch: () => undefined };

/** Express puts a request under its own prototype, and so the body comes as a stream does. */
function pour(req: IncomingMessage, sink: BodySink): void {
  let isWhole = false;
  req.on("data", (chunk: Buffer) => sink.chunk(chunk));
  req.once("end", () => {
    isWhole = true;
    sink.end();
  });
  req.once("close", () => {
    if (!isWhole) sink.gone();
  });
}

type Inflate = (body: Buffer, options: ZlibOptions) => Buffer;

const INFLATE = new Map<string, Inflate>([
  ["identity", (body) => body],
  ["gzip", gunzipSync],
  ["deflate", inflateSync],
  ["br", brotliDecompressSync],
]);

function inflated(body: Buffer, inflate: Inflate): Buffer {
  try {
    return inflate(body, { maxOutputLength: MAX_BODY_BYTES });
  } catch (cause) {
    const isTooLarge = (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw isTooLarge
      ? new SupervisorError("BODY_TOO_LARGE", "the body is over 1 MiB when it is unpacked", {
          cause,
        })
      : new SupervisorError("REQUEST_INVALID", "the body cannot be unpacked", { cause });
  }
}

function parseObject(body: Buffer): unknown {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(body.toString().replace(/^\uFEFF/, ""));
  } catch (cause) {
    throw new SupervisorError("REQUEST_INVALID", "the body is not JSON", { cause });
  }
  if (typeof value === "object" && value !== null) return value;
  throw new SupervisorError("REQUEST_INVALID", "the body is not JSON");
}

/**
 * Reads a body of JSON. Not body-parser, which answers a body that is too large when it is over, and
 * one that stands still never. Rejects with BODY_TOO_LARGE, REQUEST_TIMEOUT, TYPE_UNSUPPORTED or
 * REQUEST_INVALID.
 */
export function jsonBody(watch: Watch = UNWATCHED): RequestHandler {
  return async (req, _res, next) => {
    const { headers, socket } = req;
    if (headers["content-length"] === undefined && headers["transfer-encoding"] === undefined)
      return next();
    const charset = /;\s*charset="?([^;"\s]+)/i.exec(headers["content-type"] ?? "")?.[1] ?? "utf-8";
    const inflate = INFLATE.get(headers["content-encoding"]?.toLowerCase() ?? "identity");
    if (!/^utf-?8$/i.test(charset) || inflate === undefined)
      throw new SupervisorError(
        "TYPE_UNSUPPORTED",
        "the body must be UTF-8, plain or compressed by gzip, deflate or br",
      );
    const takeBody = (sink: BodySink): void => pour(req, sink);
    const body = await readBody({ headers, socket, takeBody }, MAX_BODY_BYTES, watch);
    if (body === undefined) return;
    req.body = parseObject(inflated(body, inflate));
    next();
  };
}
