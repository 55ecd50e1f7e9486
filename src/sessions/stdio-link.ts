import type { SharedStdio, StdioClient } from "../upstream/shared-stdio.ts";
import type { MessageLink, MessageLinkEvents } from "./message-link.ts";

/** A session's place on a shared stdio child. */
export function openStdioLink(shared: SharedStdio, events: MessageLinkEvents): MessageLink {
  let isClosed = false;
  const client: StdioClient = {
    receive: (raw, about, message) => {
      // What is left in the pipe of a child that has ended answers calls that have failed already.
      if (!isClosed) events.onMessage(raw, about, message);
    },
    ended: () => {
      isClosed = true;
      events.onClosed(undefined);
    },
  };
  shared.open(client);
  return {
    send: (raw, message) => shared.send(client, raw, message),
    close() {
      if (isClosed) return;
      isClosed = true;
      shared.close(client);
    },
  };
}
