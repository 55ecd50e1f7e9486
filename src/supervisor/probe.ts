import http from "node:http";
import { SseReader } from "../mcp/sse.ts";

// A server that is still busy with its own start may accept and stay silent; asked anew, it answers.
const ATTEMPT_MS = 5000;
const MAX_EVENT_BYTES = 65_536;

/** Undefined when the server is ready, else what was missing, as `GET /sse answered 404`. */
export type ProbeAnswer = string | undefined;

/**
 * Asks a child once whether it serves MCP here. sse: 200, an event stream and an `endpoint` event;
 * http: any answer but 404 and 5xx. The connection is closed at once, because a GET may have opened a stream.
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
    request.on("error", (error: NodeJS.ErrnoException) => finish(`${what}: ${wordsFor(error)}`));
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      response.on("error", (error: NodeJS.ErrnoException) => finish(`${what}: ${wordsFor(error)}`));
      if (transport === "http") {
        const isUp = status !== 404 && status < 500;
        return finish(isUp ? undefined : `${what} answered ${status}`);
      }
      const type = response.headers["content-type"] ?? "";
      if (status !== 200) return finish(`${what} answered ${status}`);
      if (!/^text\/event-stream\s*(;|$)/i.test(type))
        return finish(`${what} answered without an event stream`);
      awaitEndpoint(response, (isThere) =>
        finish(isThere ? undefined : `${what} sent no endpoint event`),
      );
      return undefined;
    });
  });
}

function awaitEndpoint(stream: http.IncomingMessage, done: (isThere: boolean) => void): void {
  let bytes = 0;
  const reader = new SseReader((part) => {
    if (part.name === "endpoint" && part.isLast) done(true);
  });
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    reader.push(chunk);
    if (bytes > MAX_EVENT_BYTES) done(false);
  });
  stream.on("end", () => done(false));
}

// The child chose what is in a parser's message; the code says enough.
function wordsFor(error: NodeJS.ErrnoException): string {
  if (error.name === "AbortError" || error.name === "TimeoutError") return "no answer in time";
  if (error.code?.startsWith("HPE_")) return "the answer is not HTTP";
  if (error.code === "ECONNRESET") return "the connection was closed without an answer";
  return error.code ?? "the request failed";
}
