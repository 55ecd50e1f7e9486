import { SupervisorError } from "../errors.ts";
import { dataOf } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import type { HttpTarget } from "../supervisor/supervisor.ts";
import type { HttpClient } from "../upstream/http-client.ts";
import { SseLink } from "../upstream/sse-link.ts";
import { partsOf } from "./bridged-link.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";

const JSON_POST = ["content-type", "application/json"];

/** Puts the parts of events together and gives out their data. A bridge has to hold an event whole: it changes what is around it. */
export class EventAssembler {
  readonly #give: (raw: Buffer) => void;
  #parts: Buffer[] = [];

  constructor(give: (raw: Buffer) => void) {
    this.#give = give;
  }

  push({ bytes, isLast }: EventPart): void {
    this.#parts.push(bytes);
    if (!isLast) return;
    const data = dataOf(this.#parts.length === 1 ? bytes : Buffer.concat(this.#parts));
    this.#parts = [];
    if (data !== "") this.#give(Buffer.from(data));
  }
}

/** A session of an SSE server, message by message. */
export async function openSseMessageLink(
  client: HttpClient,
  target: HttpTarget,
  postTimeoutMs: number,
  { onMessage, onClosed }: MessageLinkEvents,
): Promise<MessageLink> {
  const events = new EventAssembler((raw) => {
    for (const part of partsOf(raw)) onMessage(part, undefined);
  });
  const link = await SseLink.open({
    client,
    target,
    postTimeoutMs,
    onPart: (part) => events.push(part),
    onClosed,
  });
  return {
    async send(raw) {
      const { status } = await link.post(raw, JSON_POST);
      if (status >= 200 && status < 300) return;
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        `the server answered the message with ${status}`,
      );
    },
    close: () => link.close(),
  };
}
