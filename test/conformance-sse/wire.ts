import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
} from "node:http";
import { request as requestTls } from "node:https";
import { EventParser, type StreamEvent } from "./event-parser.ts";
import { Mailbox } from "./mailbox.ts";

export interface Target {
  /** The URL of the event stream. */
  url: URL;
  /** Sent with every request, the access key among them. */
  headers: Readonly<Record<string, string>>;
  /** How long anything may take that has to come. */
  timeoutMs: number;
}

export interface Ask {
  method?: string;
  headers?: Record<string, string>;
  /** Several pieces travel as a chunked body, each in a chunk of its own. */
  body?: string | Buffer[];
}

export interface Reply {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** Every request has a connection of its own, so that none meets one that is being closed. */
function start(
  target: Target,
  url: URL,
  { method = "GET", headers = {}, body }: Ask,
): ClientRequest {
  const length = typeof body === "string" ? { "content-length": Buffer.byteLength(body) } : {};
  const open = url.protocol === "https:" ? requestTls : request;
  const req = open(url, {
    method,
    headers: { ...target.headers, ...headers, ...length },
    agent: false,
  });
  if (Array.isArray(body)) for (const piece of body) req.write(piece);
  req.end(typeof body === "string" ? body : undefined);
  return req;
}

/** One request and its whole answer; of an answer that streams only the head. Rejects when it is not there in time. */
export async function ask(target: Target, url: URL, options: Ask): Promise<Reply> {
  const method = options.method ?? "GET";
  return await new Promise((resolve, reject) => {
    const req = start(target, url, options);
    const timer = setTimeout(
      () => req.destroy(new Error(`${method} was not answered within ${target.timeoutMs} ms`)),
      target.timeoutMs,
    );
    req.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    req.once("response", (res) => {
      let body = "";
      const done = () => {
        clearTimeout(timer);
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body });
      };
      const type = res.headers["content-type"] ?? "";
      if (type.startsWith("text/event-stream") && method !== "HEAD") {
        done();
        req.destroy();
        return;
      }
      res.setEncoding("utf8").on("data", (text: string) => (body += text));
      res.once("end", done);
      // A server that has taken enough may answer and hang up before the body was sent.
      res.once("error", done);
    });
  });
}

/** An event stream, read as it comes. */
export class EventStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly events = new Mailbox<StreamEvent>();
  /** When the latest bytes came, by `performance.now()`. */
  lastBytesAt = performance.now();
  readonly #parser: EventParser;
  readonly #req: ClientRequest;

  private constructor(req: ClientRequest, res: IncomingMessage) {
    this.#req = req;
    this.status = res.statusCode ?? 0;
    this.headers = res.headers;
    this.#parser = new EventParser((received) => {
      if ("name" in received) this.events.push(received);
    });
    res.on("data", (chunk: Buffer) => {
      this.lastBytesAt = performance.now();
      this.#parser.push(chunk);
    });
    res.on("error", () => {});
    res.once("close", () => this.events.end("the stream has ended"));
  }

  /** What of the bytes so far is no event stream. */
  get faults(): readonly string[] {
    return this.#parser.faults;
  }

  static async open(target: Target): Promise<EventStream> {
    return await new Promise((resolve, reject) => {
      const headers = { accept: "text/event-stream", "cache-control": "no-cache" };
      const req = start(target, target.url, { headers });
      const timer = setTimeout(
        () => req.destroy(new Error(`the stream was not opened within ${target.timeoutMs} ms`)),
        target.timeoutMs,
      );
      req.on("error", (error) => {
        clearTimeout(timer);
        reject(error);
      });
      req.once("response", (res) => {
        clearTimeout(timer);
        resolve(new EventStream(req, res));
      });
    });
  }

  /** Drops the connection, as a client does that leaves. */
  close(): void {
    this.events.end("the stream was closed here");
    this.#req.destroy();
  }
}
