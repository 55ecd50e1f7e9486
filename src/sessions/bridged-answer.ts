import type { Message } from "../mcp/envelope.ts";
import { LongText } from "../mcp/long-text.ts";
import type { Text } from "../mcp/long-text.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { messageEventParts } from "../mcp/sse.ts";
import type { HttpOutlet } from "./outlet.ts";

/** Proxies end silent answers after 30 s or more; an answer that takes this long becomes a stream with heartbeats. */
export const PATIENCE_MS = 10_000;
/** The same where the stream begins with an id (2025-11-25): a client that loses it early can come back. */
export const PRIMED_PATIENCE_MS = 1_000;

/** Begins the answer to a POST as an event stream. */
export function beginStream(outlet: HttpOutlet): void {
  outlet.head(200, { "content-type": "text/event-stream" }, true);
  outlet.prime?.();
}

/** Answers a POST with one message, and nothing before it, in a form that its client takes. */
export function answerWith(outlet: HttpOutlet, raw: Text, status = 200): void {
  // An event stream has one status; what refuses says so by another, which is worth more than the form.
  if (outlet.accepted === "stream" && status === 200) {
    beginStream(outlet);
    emitMessage(outlet, raw, messagesIn(raw));
  } else {
    outlet.head(status, { "content-type": "application/json" }, false);
    for (const part of raw instanceof LongText ? raw.parts : [raw]) outlet.part(part, true);
  }
  outlet.end();
}

/** Puts one message of the server on a stream that has begun; what is known of it goes with it. False asks for a pause. */
export function emitMessage(
  outlet: Pick<HttpOutlet, "part">,
  raw: Text,
  said?: readonly Message[],
): boolean {
  const parts = messageEventParts(raw);
  let hasRoom = true;
  for (let i = 0; i < parts.length; i++)
    hasRoom = outlet.part(parts[i]!, i === parts.length - 1, said);
  return hasRoom;
}
