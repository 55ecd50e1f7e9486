import type { Live } from "../instances/supervisor.ts";
import { HttpMessageLink } from "./http-message-link.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";
import { openSseMessageLink } from "./sse-message-link.ts";
import { StdioLink } from "./stdio-link.ts";
import type { Renewal } from "./stdio-link.ts";
import type { Upstreams } from "./upstreams.ts";

/** Opens a link to a ready instance, whatever it speaks; one to a stdio child goes on with the next where `renewal` is given. Rejects with UPSTREAM_*. */
export async function openMessageLink(
  live: Live,
  upstreams: Upstreams,
  postTimeoutMs: number,
  events: MessageLinkEvents,
  renewal?: Renewal,
): Promise<MessageLink> {
  const { target } = live;
  switch (target.transport) {
    case "stdio":
      return new StdioLink(live, events, renewal);
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
