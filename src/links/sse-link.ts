import { SupervisorError } from "../errors.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { isForNobody } from "../mcp/envelope.ts";
import { eventsInto } from "./answer-body.ts";
import { assembleFor } from "./assemble.ts";
import { ACCEPTED } from "./link.ts";
import type { Link, LinkEvents, PostAnswer, Posting } from "./link.ts";
import { SseConnection } from "./sse-connection.ts";
import type { SseConnectionOptions } from "./sse-connection.ts";

const JSON_POST = ["content-type", "application/json"];

type Where = Pick<SseConnectionOptions, "client" | "target" | "postTimeoutMs">;

/**
 * A session of an SSE server: as it is on the wire, in both directions, where the listener takes
 * parts, else message by message. Rejects as SseConnection.open does.
 */
export function openSseLink(where: Where, events: LinkEvents): Promise<Link> {
  const { onPart } = events.listener;
  if (onPart === undefined) return openByMessage(where, events);
  return SseConnection.open({ ...where, onPart, onClosed: (error) => events.onClosed(error) });
}

async function openByMessage(where: Where, events: LinkEvents): Promise<Link> {
  const messages = assembleFor({
    message: (raw) => events.listener.onMessage(raw, undefined),
    dropped: (id, error) => events.listener.onDropped(id, error),
    // It may have asked in the read that named its endpoint. One that does not take the answer has lost nothing that it could use.
    refuse: (raw) => void opening.then((opened) => postAlone(opened, raw, [])).catch(() => {}),
  });
  const opening = SseConnection.open({
    ...where,
    wantsData: true,
    onPart: eventsInto(messages),
    onClosed: (error) => {
      messages.reset();
      events.onClosed(error);
    },
  });
  const connection = await opening;
  const close = (): void => {
    messages.reset();
    connection.close();
  };
  return {
    post: (posting) => postEach(connection, posting),
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    unsent: () => connection.unsent(),
    close,
    abandon: close,
  };
}

const postAlone = (
  connection: SseConnection,
  body: Buffer,
  messages: readonly ClientMessage[],
): Promise<PostAnswer> => connection.post({ body, messages, headers: JSON_POST });

async function postEach(connection: SseConnection, { messages }: Posting): Promise<PostAnswer> {
  for (const message of messages) {
    if (isForNobody(message)) continue;
    const { status } = await postAlone(connection, message.raw, [message]);
    if (status < 200 || status >= 300)
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        `the server answered the message with ${status}`,
      );
  }
  return ACCEPTED;
}
