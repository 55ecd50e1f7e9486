import { messageEvent } from "../mcp/sse.ts";
import type { HttpOutlet } from "./http-exchange.ts";

/** Proxies end silent answers after 30 s or more; an answer that takes this long becomes a stream with heartbeats. */
export const PATIENCE_MS = 10_000;

/** Begins the answer to a POST as an event stream. */
export function beginStream(outlet: HttpOutlet): void {
  outlet.head(200, { "content-type": "text/event-stream" }, true);
}

/** Puts one message of the server on a stream that has begun. */
export function emitMessage(outlet: HttpOutlet, raw: Buffer): void {
  outlet.part(messageEvent(raw), true);
}
