import { ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isRequest, isResponse } from "../mcp/envelope.ts";
import type { Message } from "../mcp/envelope.ts";
import { elementsOf, isArray } from "../mcp/json-span.ts";
import { refusalText } from "../mcp/messages.ts";
import type { Text } from "../mcp/long-text.ts";
import { MessageAssembler } from "../mcp/message-assembler.ts";
import type { SupervisorError } from "../errors.ts";

export interface AssembledMessages {
  message: (raw: Text) => void;
  /** The answer to the request of that id (canonical JSON text) is not passed on. */
  dropped: (id: string, error: SupervisorError) => void;
  /** A question of the server is not passed on: this is to be posted as the answer. */
  refuse: (raw: Buffer, message: Message) => void;
}

/** Puts the messages of a server together that come in pieces of a body or of events; a batch is taken apart. */
export function assembleFor({ message, dropped, refuse }: AssembledMessages): MessageAssembler {
  return new MessageAssembler({
    text: (bytes) => partsOf(bytes).forEach(message),
    long: message,
    // No message of any server begins like this; whoever waits for an answer is told that there is none.
    noMessage() {},
    dropped: (messages, error) => {
      for (const one of messages) {
        if (isResponse(one)) dropped(one.id!, error);
        else if (isRequest(one)) refuse(refusal(one.id!, error), { id: one.id, method: undefined });
      }
    },
  });
}

/** One message of a body each; a batch (2025-03-26) is taken apart, one that is no JSON has none. */
function partsOf(body: Buffer): Buffer[] {
  if (!isArray(body)) return [body];
  return (elementsOf(body) ?? []).map(({ start, end }) => body.subarray(start, end));
}

/** The answer to a question that reaches nobody. */
function refusal(id: string, { message }: SupervisorError): Buffer {
  return Buffer.from(refusalText(id, message));
}

/** The same, as a message of the client. */
export const refused = (id: string, error: SupervisorError): ClientMessage =>
  ownMessage(refusal(id, error).toString(), id);
