import { EnvelopeScanner } from "./envelope.ts";
import type { AnswerOutcome } from "./envelope.ts";
import { mayHold } from "./json-span.ts";

/**
 * What the answer in this JSON text says. Nearly every answer holds neither key (within a string
 * their quotes are escaped), and is not read at all.
 */
export function outcomeOf(json: Buffer): AnswerOutcome {
  if (!mayHold(json, "isError") && !json.includes('"error"')) return "ok";
  const scanner = new EnvelopeScanner();
  scanner.write(json, 0, json.length);
  return scanner.messages[0]?.outcome ?? "ok";
}
