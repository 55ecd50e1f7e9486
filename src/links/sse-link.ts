import { SupervisorError } from "../errors.ts";
import type { MessageAssembler } from "../mcp/message-assembler.ts";
import { isForNobody } from "../mcp/envelope.ts";
import type { EventPart } from "../mcp/sse.ts";
import { assembleFor } from "./assemble.ts";
import { ACCEPTED, NOTHING_REMEMBERED } from "./link.ts";
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
  return onPart === undefined ? openByMessage(where, events) : openVerbatim(where, events, onPart);
}

async function openVerbatim(
  where: Where,
  events: LinkEvents,
  onPart: (part: EventPart) => void,
): Promise<Link> {
  const connection = await SseConnection.open({
    ...where,
    onPart,
    onClosed: (error) => events.onClosed(error),
  });
  return linkOver(connection, ({ body, headers }) => connection.post(body, headers));
}

async function openByMessage(where: Where, events: LinkEvents): Promise<Link> {
  const messages = assembleFor({
    message: (raw) => events.listener.onMessage(raw, undefined),
    dropped: (id, error) => events.listener.onDropped(id, error),
    // It may have asked in the read that named its endpoint. One that does not take the answer has lost nothing that it could use.
    refuse: (raw) => void opening.then((opened) => opened.post(raw, JSON_POST)).catch(() => {}),
  });
  const opening = SseConnection.open({
    ...where,
    wantsData: true,
    onPart: ({ data = [], isLast }) => {
      for (const piece of data) messages.push(piece);
      if (isLast) messages.end();
    },
    onClosed: (error) => {
      messages.reset();
      events.onClosed(error);
    },
  });
  const connection = await opening;
  return linkOver(connection, (posting) => postEach(connection, posting), messages);
}

function linkOver(
  connection: SseConnection,
  post: Link["post"],
  messages?: MessageAssembler,
): Link {
  const close = (): void => {
    messages?.reset();
    connection.close();
  };
  return {
    post,
    pause: () => connection.pause(),
    resume: () => connection.resume(),
    recall: () => NOTHING_REMEMBERED,
    close,
    // To such a server the end of its stream is all that tells of the session's.
    abandon: close,
  };
}

async function postEach(connection: SseConnection, { messages }: Posting): Promise<PostAnswer> {
  for (const message of messages) {
    if (isForNobody(message)) continue;
    const { status } = await connection.post(message.raw, JSON_POST);
    if (status < 200 || status >= 300)
      throw new SupervisorError(
        "UPSTREAM_INVALID",
        `the server answered the message with ${status}`,
      );
  }
  return ACCEPTED;
}
