import type { Message } from "../mcp/envelope.ts";
import { elementsOf, isArray } from "../mcp/json-span.ts";
import type { Text } from "../mcp/long-text.ts";
import { dataOf, messageEvent } from "../mcp/sse.ts";
import type { EventPart } from "../mcp/sse.ts";
import { messagesIn } from "../mcp/outcome.ts";
import { LongText } from "../mcp/long-text.ts";

/** What is held of one event until it is known what it says; a longer one passes unread. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/** What becomes of one message: passed on as it is, as another text, or not at all. */
type Sort = (message: Message, read: () => Text) => Text | "pass" | "drop";

/** Looks into the events of a stream that is relayed: most go on byte by byte, some changed or not at all. */
export class EventFilter {
  readonly #pass: (part: EventPart) => void;
  readonly #sort: Sort;
  #held: Buffer[] = [];
  #heldBytes = 0;
  /** Of the present event a part has gone out, and the rest follows whatever it is. */
  #isPassing = false;

  constructor(pass: (part: EventPart) => void, sort: Sort) {
    this.#pass = pass;
    this.#sort = sort;
  }

  /** In the middle of an event. */
  get isHolding(): boolean {
    return this.#heldBytes > 0 || this.#isPassing;
  }

  push(part: EventPart): void {
    if (this.#isPassing) {
      this.#isPassing = !part.isLast;
      return this.#pass(part);
    }
    this.#held.push(part.bytes);
    this.#heldBytes += part.bytes.length;
    if (part.isLast) return this.#decide(part);
    if (this.#heldBytes <= MAX_HELD_BYTES) return;
    this.#isPassing = true;
    this.#pass({ ...part, bytes: this.#release() });
  }

  #decide(last: EventPart): void {
    const bytes = this.#release();
    const part = { ...last, bytes };
    const { messages } = part;
    if (messages.length === 0) return this.#pass(part);
    if (messages.length === 1) return this.#decideOne(part, messages[0]!);
    const data = Buffer.from(dataOf(bytes));
    for (const { start, end } of elementsOf(data) ?? []) this.#each(data.subarray(start, end));
  }

  #decideOne(part: EventPart, message: Message): void {
    const read = (): Text => {
      const data = Buffer.from(dataOf(part.bytes));
      const [only] = isArray(data) ? (elementsOf(data, 1) ?? []) : [];
      return only === undefined ? data : data.subarray(only.start, only.end);
    };
    const verdict = this.#sort(message, read);
    if (verdict === "drop") return;
    this.#pass(verdict === "pass" ? part : eventOf(verdict));
  }

  /** One of several in an event (2025-03-26): each goes out by itself. */
  #each(raw: Buffer): void {
    const [message] = messagesIn(raw);
    if (message === undefined) return;
    const verdict = this.#sort(message, () => raw);
    if (verdict !== "drop") this.#pass(eventOf(verdict === "pass" ? raw : verdict));
  }

  #release(): Buffer {
    const bytes = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    return bytes;
  }
}

/** Its message reads as the client gets it: under another id it is another one to whoever counts. */
function eventOf(raw: Text): EventPart {
  const whole = raw instanceof LongText ? Buffer.concat(raw.parts) : raw;
  const messages = messagesIn(raw);
  return { bytes: messageEvent(whole), name: "message", messages, hasData: true, isLast: true };
}
