import type { ClientMessage } from "../mcp/client-body.ts";
import { isForNobody } from "../mcp/envelope.ts";
import { elementsOf, isArray } from "../mcp/json-span.ts";
import type { PostAnswer } from "../links/sse-link.ts";
import type { MessageLink } from "./message-link.ts";

/** What servers answer to a message whose own answer comes on the stream. */
export const ACCEPTED: PostAnswer = {
  status: 202,
  headers: { "content-type": "text/plain" },
  body: Buffer.from("Accepted"),
};

/** What an SSE session posts to: its server's own endpoint, or a bridge. */
export interface PostLink {
  ready?(): Promise<void> | undefined;
  post(body: Buffer, messages: readonly ClientMessage[], headers: string[]): Promise<PostAnswer>;
  pause(): void;
  resume(): void;
  close(): void;
}

/** One message of a body each; a batch (2025-03-26) is taken apart, one that is no JSON has none. */
export function partsOf(body: Buffer): Buffer[] {
  if (!isArray(body)) return [body];
  return (elementsOf(body) ?? []).map(({ start, end }) => body.subarray(start, end));
}

/** Takes the posts of an SSE session to a server that speaks something else. */
export function bridgePosts(link: MessageLink): PostLink {
  return {
    ...(link.ready === undefined ? {} : { ready: () => link.ready!() }),
    async post(_body, messages, headers) {
      for (const message of messages) if (!isForNobody(message)) await link.send(message, headers);
      return ACCEPTED;
    },
    pause: () => link.pause(),
    resume: () => link.resume(),
    close: () => link.close(),
  };
}
