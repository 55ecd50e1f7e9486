/** Room: builtins. MCP servers that are part of the daemon: they are started by nobody and cost nothing while nobody calls. In: a client's messages, and whose they are. Out: what a server would answer. Never lets what it throws out of the request that it came of. */
import type { ClientMessage } from "../mcp/client-body.ts";
import type { Message } from "../mcp/envelope.ts";
import type { Language } from "../http/language.ts";
import type { FeishuApp } from "./feishu/app.ts";

/** What is known of a client beside its messages. */
export interface Caller {
  readonly language: Language;
  /** The app that it named in its URL. */
  readonly app: FeishuApp | undefined;
}

/** One client's conversation with a server that is part of the daemon. */
export interface Conversation {
  /** Never throws: what comes of the message is said. */
  receive(message: ClientMessage): void;
  /** Nobody hears it any more. */
  close(): void;
}

/** Hears what the server says: its bytes, and of an answer what is known of it without reading them. */
export type Say = (raw: Buffer, answer: Message | undefined) => void;

/** A server that is part of the daemon, as one user has it. */
export interface Builtin {
  /** The revisions from 2026 on that it speaks; of those before it speaks all. */
  readonly versions: readonly string[];
  open(caller: Caller, say: Say): Conversation;
}
