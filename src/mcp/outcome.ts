import { EnvelopeScanner } from "./envelope.ts";
import type { AnswerOutcome, Message } from "./envelope.ts";
import { mayHold } from "./json-span.ts";
import { LongText, messageOf } from "./long-text.ts";
import type { Text } from "./long-text.ts";

/**
 * What the answer in this JSON text says. Nearly every answer holds neither key (within a string
 * their quotes are escaped), and is not read at all.
 */
export function outcomeOf(json: Text): AnswerOutcome {
  const isShort = !(json instanceof LongText);
  if (isShort && !mayHold(json, "isError") && !json.includes('"error"')) return "ok";
  return messagesIn(json)[0]?.outcome ?? "ok";
}

/** The JSON-RPC messages in this JSON text. */
export function messagesIn(json: Text): readonly Message[] {
  if (json instanceof LongText) return [messageOf(json)];
  const scanner = new EnvelopeScanner();
  scanner.write(json, 0, json.length);
  return scanner.messages;
}
