import { request } from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";

export interface Answer {
  status: number;
  headers: IncomingMessage["headers"];
  body: string;
}

export interface RawRequest {
  method?: string;
  /** Sent as it is: nothing is decoded, resolved or encoded. */
  path: string;
  /** Names and values in turn, so that one name can come twice. */
  headers?: string[];
  /** In place of the address and port that are called. */
  host?: string;
  body?: string | Buffer;
}

const isStream = (res: IncomingMessage) =>
  (res.headers["content-type"] ?? "").startsWith("text/event-stream");

function send(
  port: number,
  { method = "GET", path, headers = [], host = `127.0.0.1:${port}`, body }: RawRequest,
): ClientRequest {
  const all = ["host", host, ...headers];
  if (body !== undefined) all.push("content-length", String(Buffer.byteLength(body)));
  const req = request({ host: "127.0.0.1", port, method, path, headers: all, agent: false });
  req.end(body);
  return req;
}

/** One request and its answer; of an event stream only what comes first, and where it answers a POST the first event. */
export function ask(port: number, options: RawRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = send(port, options);
    req.once("error", reject);
    req.once("response", (res) => {
      let body = "";
      const done = () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body });
      res.setEncoding("utf8");
      res.on("data", (text: string) => {
        body += text;
        if (!isStream(res)) return;
        // Whoever leaves before the answer has cancelled the call.
        if (options.method === "POST" && !/^data:.*\n\n/m.test(body)) return;
        done();
        req.destroy();
      });
      res.once("end", done);
      res.once("error", done);
    });
  });
}

/** The headers that tell browsers what an answer is not, where it lacks them. */
export function missingForBrowsers({ headers }: Pick<Answer, "headers">): string[] {
  const wanted: Record<string, string> = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
  };
  return Object.keys(wanted).filter((name) => headers[name] !== wanted[name]);
}

/** An event stream that a test reads as it comes. */
export class EventStream {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  text = "";
  isEnded = false;
  readonly #req: ClientRequest;
  readonly #res: IncomingMessage;

  private constructor(req: ClientRequest, res: IncomingMessage) {
    this.#req = req;
    this.#res = res;
    this.status = res.statusCode ?? 0;
    this.headers = res.headers;
    res.setEncoding("utf8");
    res.on("data", (text: string) => (this.text += text));
    const ended = () => (this.isEnded = true);
    res.once("close", ended);
    res.on("error", ended);
  }

  static open(port: number, options: RawRequest): Promise<EventStream> {
    return new Promise((resolve, reject) => {
      const req = send(port, options);
      req.on("error", reject);
      req.once("response", (res) => resolve(new EventStream(req, res)));
    });
  }

  /** The data of every event so far, comments left out. */
  events(): { name: string; data: string }[] {
    return this.text
      .split("\n\n")
      .slice(0, -1)
      .flatMap((block) => {
        // Not `.*$`, which would end at U+2028 too.
        const data = /^data: ?([^\r\n]*)/m.exec(block)?.[1];
        return data === undefined
          ? []
          : [{ name: /^event: ?(.*)$/m.exec(block)?.[1] ?? "message", data }];
      });
  }

  get endpoint(): string | undefined {
    return this.events().find(({ name }) => name === "endpoint")?.data;
  }

  messages(): {
    id?: unknown;
    method?: string;
    result?: unknown;
    error?: { code: number; message: string; data?: { type: string; requestId: string } };
  }[] {
    return this.events().flatMap(({ name, data }) =>
      name === "message" ? [JSON.parse(data)] : [],
    );
  }

  /** Reads no further. */
  pause(): void {
    this.#res.pause();
  }

  resume(): void {
    this.#res.resume();
  }

  close(): void {
    this.#req.destroy();
  }
}
