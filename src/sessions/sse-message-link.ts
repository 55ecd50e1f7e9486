import { SupervisorError } from "../errors.ts";
import type { HttpTarget } from "../instances/supervisor.ts";
import type { HttpClient } from "../links/http1/client.ts";
import { SseLink } from "../links/sse-link.ts";
import { assembleFor } from "./bridged-messages.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";

const JSON_POST = ["content-type", "application/json"];

/** A session of an SSE server, message by message. */
export async function openSseMessageLink(
  client: HttpClient,
  target: HttpTarget,
  postTimeoutMs: number,
  { onMessage, onDropped, onClosed }: MessageLinkEvents,
): Promise<MessageLink> {
  const messages = assembleFor({
    message: (raw) => onMessage(raw, undefined),
    dropped: onDropped,
    // A server that does not take it has lost nothing that it could use.
    refuse: (raw) => void link.post(raw, JSON_POST).catch(() => {}),
  });
  const link: SseLink = await SseLink.open({
    client,
    target,
    postTimeoutMs,
    wantsData: true,
    onPart: ({ data = [], isLast }) => {
      for (const piece of data) messages.push(piece);
      if (isLast) messages.end();
    },
    onClosed: (error) => {
      messages.reset();
      onClosed(error);
    },
  });
  return {
    async send({ raw }) {
      const { status } = await link.post(raw, JSON_POST);
      if (status >= 200 && status < 300) return;
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        `the server answered the message with ${status}`,
      );
    },
    pause: () => link.pause(),
    resume: () => link.resume(),
    close: () => {
      messages.reset();
      link.close();
    },
  };
}
