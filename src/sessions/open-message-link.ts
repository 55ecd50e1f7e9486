import { SupervisorError } from "../errors.ts";
import type { Live } from "../supervisor/supervisor.ts";
import { HttpMessageLink } from "./http-message-link.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";
import { openSseMessageLink } from "./sse-message-link.ts";
import { openStdioLink } from "./stdio-link.ts";
import type { Upstreams } from "./upstreams.ts";

/** Opens a link to a ready instance, whatever it speaks. Rejects with UPSTREAM_*. */
export async function openMessageLink(
  live: Live,
  upstreams: Upstreams,
  postTimeoutMs: number,
  events: MessageLinkEvents,
): Promise<MessageLink> {
  const { target } = live;
  switch (target.transport) {
    case "stdio":
      // Which child a session gets is told by its capabilities, and no set of those is called modern.
      if (target.era === "modern")
        throw new SupervisorError("INTERNAL", "a session was led to a child that has none");
      return openStdioLink(target.shared, events);
    case "sse":
      return await openSseMessageLink(
        upstreams.clientFor(live, target),
        target,
        postTimeoutMs,
        events,
      );
    case "http":
      return new HttpMessageLink({
        client: upstreams.clientFor(live, target),
        target,
        events,
        watchEnd: (callback) => upstreams.onEnd(live, target, callback),
      });
  }
}
