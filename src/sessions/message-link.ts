import type { SupervisorError } from "../errors.ts";
import type { Askable } from "../mcp/askable.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Text } from "../mcp/long-text.ts";

/**
 * A session's way to a server of another transport than its front: single messages, not bytes of a
 * stream. What a bridge is built on.
 */
export interface MessageLink {
  /** Of a link that outlives its child: resolves when there is one to send to, undefined where there is; see StdioLink. */
  ready?(): Promise<void> | undefined;
  /** Takes one message of the client; rejects with UPSTREAM_* when it cannot be handed on. */
  send(message: ClientMessage, headers: readonly string[]): Promise<void>;
  /** Reads nothing more of the server until `resume`, where it serves this session alone; a shared one is not kept waiting. */
  pause(): void;
  resume(): void;
  /** Ends the session at the server; `onClosed` is not called. */
  close(): void;
}

export interface MessageLinkEvents {
  /** What the client declared that lets a server ask it. */
  readonly askable: ReadonlySet<Askable>;
  /** One message of the server. `about` is the id (canonical JSON text) of the client's request that it belongs to, where that is known; `message` what the link has read of it already. */
  onMessage: (raw: Text, about: string | undefined, message?: Message) => void;
  /** The answer to the client's request of that id (canonical JSON text) is not passed on. */
  onDropped: (id: string, error: SupervisorError) => void;
  /** The link is over: with an error when it broke, without when the server ended it. Called once. */
  onClosed: (error: SupervisorError | undefined) => void;
}
