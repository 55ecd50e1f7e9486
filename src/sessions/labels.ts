import { ownMessage } from "../mcp/client-body.ts";
import type { ClientMessage } from "../mcp/client-body.ts";
import { canonicalId, isResponse } from "../mcp/envelope.ts";
import { locate, splice, textAt, valueAt } from "../mcp/json-span.ts";
import type { Span } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";

type Change = readonly [Span, string];

const ID = ["id"];
const TOKEN = ["params", "_meta", "progressToken"];
const ABOUT = ["params", "requestId"];
const PROGRESS_OF = ["params", "progressToken"];

/** The number of a label, and what it stands before. */
const LABEL = /^g(\d+):/;

/** Of a value as JSON text: the number of the label on it, 0 where there is none. */
function labelOf(text: string): number {
  if (!text.startsWith('"g')) return 0;
  const value: unknown = valueAt(Buffer.from(text), { start: 0, end: Buffer.byteLength(text) });
  return typeof value === "string" ? Number(LABEL.exec(value)?.[1] ?? 0) : 0;
}

/** The number of the label that a message of the client bears: of whom it is an answer to, or the progress of. */
export function labelIn(message: ClientMessage): number {
  if (isResponse(message)) return labelOf(message.id!);
  if (message.method !== "notifications/progress") return 0;
  const token = locate(message.raw, PROGRESS_OF);
  return token === undefined ? 0 : labelOf(textAt(message.raw, token));
}

/**
 * Ids and progress tokens of a server's requests, from the second generation of a session on: each
 * generation counts from the beginning, and an answer that comes late must not be another one's.
 * They read `"g<generation>:<id as JSON>"`; of the first one, 0, they pass as they are.
 */
export class Labels {
  readonly #epoch: number;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** A request of the server as the client gets it, and its id there as `canonicalId` has it. */
  add(raw: Text): [id: string, labelled: Text] {
    const id = locate(raw, ID)!;
    const token = locate(raw, TOKEN);
    const changes: Change[] = [[id, this.#labelled(raw, id)]];
    if (token !== undefined) changes.push([token, this.#labelled(raw, token)]);
    changes.sort(([a], [b]) => a.start - b.start);
    return [canonicalId(this.#labelled(raw, id)), splice(raw, changes)];
  }

  /** The server takes a request back: as the client gets it, and the id of that request there. */
  addToCancelled(raw: Text): [id: string, labelled: Text] {
    const about = locate(raw, ABOUT);
    if (about === undefined) return ["", raw];
    if (this.#epoch === 0) return [canonicalId(textAt(raw, about)), raw];
    const text = this.#labelled(raw, about);
    return [canonicalId(text), splice(raw, [[about, text]])];
  }

  /** A message of the client as the server knows what it is about; undefined where that is another generation's. */
  remove(message: ClientMessage): ClientMessage | undefined {
    if (labelIn(message) !== this.#epoch) return isAbout(message) ? undefined : message;
    if (this.#epoch === 0) return message;
    const span = locate(message.raw, isResponse(message) ? ID : PROGRESS_OF);
    if (span === undefined) return message;
    const labelled = String(valueAt(message.raw, span));
    const plain = labelled.slice(labelled.indexOf(":") + 1);
    const text = splice(message.raw, [[span, plain]]).toString();
    return ownMessage(text, isResponse(message) ? plain : undefined, message.method);
  }

  #labelled(raw: Text, span: Span): string {
    return JSON.stringify(`g${this.#epoch}:${textAt(raw, span)}`);
  }
}

/** Whether it can only mean something to the generation that asked. */
const isAbout = (message: ClientMessage): boolean =>
  isResponse(message) || message.method === "notifications/progress";
