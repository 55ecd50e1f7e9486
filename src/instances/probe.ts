import http from "node:http";
import { guarded } from "../containment.ts";
import { SseReader } from "../mcp/sse.ts";

// A server that is still busy with its own start may accept and stay silent; asked anew, it answers.
const ATTEMPT_MS = 5000;
const MAX_EVENT_BYTES = 65_536;

/**
 * `missing` is what was, as `GET /sse answered 404`. `unsure`: a server that only takes POSTs says
 * the same to a GET as one that has not begun to serve its path.
 */
export type ProbeAnswer =
  | { readonly kind: "ready" }
  | { readonly kind: "unsure"; readonly missing: string }
  | { readonly kind: "not-ready"; readonly missing: string };

const READY: ProbeAnswer = { kind: "ready" };
/** Of servers that only take POSTs, or whose framework fails over a GET. */
const SAID_TO_GET = new Set([404, 500, 501]);
/** What a server or a proxy in it says while the rest of it is on its way up (RFC 9110, 15.6.3 to 15.6.5). */
const NOT_YET = new Set([502, 503, 504]);

/**
 * Asks a child once whether it serves MCP here. sse: 200, an event stream and an `endpoint` event;
 * http: any answer but 502 to 504, though 404, 500 and 501 leave it open. The connection is closed at
 * once, because a GET may have opened a stream.
 */
export function probe(
  transport: "sse" | "http",
  url: URL,
  signal: AbortSignal,
  socketPath: string | null = null,
): Promise<ProbeAnswer> {
  const what = `GET ${url.pathname}`;
  return new Promise((resolve) => {
    const request = http.get(url, {
      agent: false,
      socketPath: socketPath ?? undefined,
      headers: { accept: "text/event-stream" },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]),
    });
    const finish = (answer: ProbeAnswer) => {
      resolve(answer);
      request.destroy();
    };
    const lack = (missing: string) => finish({ kind: "not-ready", missing: `${what}${missing}` });
    const fail = (error: NodeJS.ErrnoException) => lack(`: ${wordsFor(error)}`);
    const broke = () => lack(": something failed here over the answer");
    const onResponse = (response: http.IncomingMessage): void => {
      const status = response.statusCode ?? 0;
      response.on("error", fail);
      if (transport === "http") return finish(readinessOf(status, `${what} answered ${status}`));
      const type = response.headers["content-type"] ?? "";
      if (status !== 200) return lack(` answered ${status}`);
      if (!/^text\/event-stream\s*(;|$)/i.test(type))
        return lack(" answered without an event stream");
      const done = (isThere: boolean) =>
        isThere ? finish(READY) : lack(" sent no endpoint event");
      awaitEndpoint(response, done, broke);
    };
    request.on("error", fail);
    request.on("response", guarded("child", broke, onResponse));
  });
}

function readinessOf(status: number, missing: string): ProbeAnswer {
  if (NOT_YET.has(status)) return { kind: "not-ready", missing };
  return SAID_TO_GET.has(status) ? { kind: "unsure", missing } : READY;
}

function awaitEndpoint(
  stream: http.IncomingMessage,
  done: (isThere: boolean) => void,
  broke: () => void,
): void {
  let bytes = 0;
  const reader = new SseReader((part) => {
    if (part.name === "endpoint" && part.isLast) done(true);
  });
  const read = (chunk: Buffer): void => {
    bytes += chunk.length;
    reader.push(chunk);
    if (bytes > MAX_EVENT_BYTES) done(false);
  };
  stream.on("data", guarded("child", broke, read));
  stream.on("end", () => done(false));
}

// The child chose what is in a parser's message; the code says enough.
function wordsFor(error: NodeJS.ErrnoException): string {
  if (error.name === "AbortError" || error.name === "TimeoutError") return "no answer in time";
  if (error.code?.startsWith("HPE_")) return "the answer is not HTTP";
  if (error.code === "ECONNRESET") return "the connection was closed without an answer";
  return error.code ?? "the request failed";
}
