import { OPEN_BRACE } from "./bytes.ts";
import { EnvelopeScanner } from "./envelope.ts";
import type { AnswerOutcome, Message } from "./envelope.ts";
import { locate, mayHold } from "./json-span.ts";
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

/** The result of this answer, in pieces, as its server wrote it; undefined where it is none that is an object. */
export function resultIn(answer: Text): readonly Buffer[] | undefined {
  if (answer instanceof LongText) {
    return answer.result && answer.partsOf(answer.result);
  }
  const span = locate(answer, ["result"]);
  if (span === undefined || answer[span.start] !== OPEN_BRACE) return undefined;
  return [answer.subarray(span.start, span.end)];
}
