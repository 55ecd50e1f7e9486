/** One JSON-RPC message as far as a gateway has to know it; `id` is canonical JSON text, see `canonicalId`. */
export interface Message {
  readonly id: string | undefined;
  readonly method: string | undefined;
  /** Of an answer: what it says went wrong, if anything. */
  readonly outcome?: Exclude<AnswerOutcome, "ok">;
  /** Of an error of a server of 2026-07-28: its code, to which an HTTP status belongs. */
  readonly errorCode?: number;
}

/** What a server made of a request: a result, a result that says the tool failed (`isError`), or a JSON-RPC error. */
export type AnswerOutcome = "ok" | "tool-error" | "error";

export const isRequest = (message: Message): boolean =>
  message.id !== undefined && message.method !== undefined;
export const isResponse = (message: Message): boolean =>
  message.id !== undefined && message.method === undefined;

/** Of the requests among them, as canonical JSON text. */
export function idsOf(messages: readonly Message[]): string[] {
  const ids: string[] = [];
  for (const message of messages) if (isRequest(message)) ids.push(message.id!);
  return ids;
}

/** An answer without an id, or with null for one: it can be about nothing that was asked. */
export const isForNobody = (message: Message): boolean =>
  message.id === undefined && message.method === undefined;

export const isPing = (message: Message): boolean =>
  message.method === "ping" && message.id !== undefined;
