import { isEventStream } from "../mcp/headers.ts";
import type { MessageAssembler } from "../mcp/message-assembler.ts";
import { SseReader } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { ResponseHeaders } from "./http1/client.ts";

/** The body of an answer of a Streamable HTTP server: an event stream, or one message. */
export interface AnswerBody {
  /** What comes is of an event stream, which may stay open behind the answer. */
  readonly isStream: boolean;
  push(chunk: Buffer): void;
  /** The body has ended in good order. */
  end(): void;
}

/** Hands the data of events on, each as a message. */
export const eventsInto =
  (messages: MessageAssembler) =>
  ({ data = [], isLast }: EventPart): void => {
    for (const piece of data) messages.push(piece);
    if (isLast) messages.end();
  };

/** Reads the body that comes behind these headers. */
export function readAnswer(headers: ResponseHeaders, messages: MessageAssembler): AnswerBody {
  if (!isEventStream(headers["content-type"]))
    return {
      isStream: false,
      push: (chunk) => messages.push(chunk),
      end: () => messages.end(),
    };
  const reader = new SseReader(eventsInto(messages), true);
  return {
    isStream: true,
    push: (chunk) => reader.push(chunk),
    // An event that has not come to its end is none.
    end: () => messages.reset(),
  };
}
