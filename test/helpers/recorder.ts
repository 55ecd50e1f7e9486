import { once } from "node:events";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { TestContext } from "node:test";
import { serve } from "./serve.ts";

/** One request, as it came over the wire. */
export interface Recorded {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** Names as they were written, in order. */
  names: string[];
  body: Buffer;
}

export interface Recorder {
  /** `http://127.0.0.1:PORT`. */
  origin: string;
  host: string;
  /** In order of arrival, streams among them. */
  requests: Recorded[];
  /** The event streams that are open now. */
  streams: Set<ServerResponse>;
  connections: () => Promise<number>;
  /** Stops listening, and listens again on the same port. */
  down: () => Promise<void>;
  up: () => Promise<void>;
}

/** Answers a request; false leaves it to the recorder. */
export type Reply = (request: Recorded, res: ServerResponse) => boolean | void;

/** The id that the recorder gives to sessions of Streamable HTTP; no client of the gateway may see it. */
export const REMOTE_SESSION = "session-of-the-remote";
/** Where the recorder's SSE sessions post to. */
export const REMOTE_ENDPOINT = `/messages/?sid=${REMOTE_SESSION}`;

const eventStream = { "content-type": "text/event-stream" };

function answer(request: Recorded, res: ServerResponse, stream: ServerResponse | undefined): void {
  if (request.method !== "POST") return void res.writeHead(200).end();
  const text = request.body.toString();
  const { id, method } = JSON.parse(text) as { id?: unknown; method?: string };
  const result = JSON.stringify({ jsonrpc: "2.0", id, result: {} });
  if (request.path.startsWith("/messages")) {
    res.writeHead(202).end("Accepted");
    if (id !== undefined) stream?.write(`event: message\ndata: ${result}\n\n`);
    return;
  }
  if (id === undefined) return void res.writeHead(202).end();
  res.writeHead(200, {
    "content-type": "application/json",
    ...(method === "initialize" ? { "mcp-session-id": REMOTE_SESSION } : {}),
  });
  res.end(result);
}

/**
 * A server that writes down what reaches it, to stand behind the gateway as a remote one. It opens a
 * stream for every GET, and answers what `reply` does not, on the latest stream where that is the way.
 */
export async function record(t: TestContext, reply: Reply = () => false): Promise<Recorder> {
  const requests: Recorded[] = [];
  const streams = new Set<ServerResponse>();
  const open = (request: Recorded, res: ServerResponse) => {
    streams.add(res);
    res.on("close", () => streams.delete(res));
    res.writeHead(200, eventStream).flushHeaders();
    if (request.path.startsWith("/sse")) res.write(`event: endpoint\ndata: ${REMOTE_ENDPOINT}\n\n`);
  };
  const served = await serve(t, (req: IncomingMessage, res: ServerResponse) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("end", () => {
      const request: Recorded = {
        method: req.method ?? "",
        path: req.url ?? "",
        headers: req.headers,
        names: req.rawHeaders.filter((_, i) => i % 2 === 0),
        body: Buffer.concat(chunks),
      };
      requests.push(request);
      if (reply(request, res) !== false) return;
      if (request.method === "GET") open(request, res);
      else answer(request, res, [...streams].at(-1));
    });
  });
  const { origin, host, port } = served.url;
  const down = async () => {
    const closed = once(served.server, "close");
    served.server.close();
    served.server.closeAllConnections();
    await closed;
  };
  const up = async () => {
    served.server.listen(Number(port), "127.0.0.1");
    await once(served.server, "listening");
  };
  return { origin, host, requests, streams, connections: () => served.connections(), down, up };
}
