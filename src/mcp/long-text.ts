import type { Message } from "./message.ts";
import type { MessageScanner } from "./message-scanner.ts";
import type { Span } from "./span.ts";

/**
 * One JSON-RPC message that is too long to be parsed or copied in one go: its bytes as they came, in
 * pieces, with what `MessageScanner` found in them.
 */
export class LongText {
  readonly parts: readonly Buffer[];
  readonly length: number;
  /** Undefined after a splice. */
  readonly seen: MessageScanner | undefined;
  /** Where the result stands, where that is an object. */
  readonly result: Span | undefined;

  constructor(parts: readonly Buffer[], seen?: MessageScanner, result = seen?.result) {
    this.parts = parts;
    this.result = result;
    this.length = parts.reduce((sum, { length }) => sum + length, 0);
    this.seen = seen;
  }

  /** These bytes of it, in pieces. */
  partsOf({ start, end }: Span): Buffer[] {
    const found: Buffer[] = [];
    let at = 0;
    for (const part of this.parts) {
      const piece = part.subarray(Math.max(0, start - at), Math.max(0, end - at));
      if (piece.length > 0) found.push(piece);
      at += part.length;
    }
    return found;
  }

  /** The same text with other bytes in the places of these spans, which are in order and do not overlap. */
  splice(changes: readonly (readonly [Span, string])[]): LongText {
    const spliced: Buffer[] = [];
    let at = 0;
    let from = 0;
    let next = 0;
    for (const part of this.parts) {
      const end = at + part.length;
      for (; next < changes.length && changes[next]![0].start < end; next++) {
        const [span, text] = changes[next]!;
        if (span.start > from) spliced.push(part.subarray(from - at, span.start - at));
        spliced.push(Buffer.from(text));
        from = span.end;
      }
      if (end > from) spliced.push(part.subarray(from - at));
      from = Math.max(from, end);
      at = end;
    }
    return new LongText(spliced, undefined, moved(this.result, changes));
  }
}

/** Where the span is after these changes; undefined where one of them touches it. */
function moved(
  span: Span | undefined,
  changes: readonly (readonly [Span, string])[],
): Span | undefined {
  let by = 0;
  if (span === undefined) return undefined;
  for (const [{ start, end }, text] of changes) {
    if (start >= span.end) continue;
    if (end > span.start) return undefined;
    by += Buffer.byteLength(text) - (end - start);
  }
  return { start: span.start + by, end: span.end + by };
}

/** The text of one message, whatever its length. */
export type Text = Buffer | LongText;

/** What is known of a message that is too long to be read. */
export const messageOf = (text: LongText): Message =>
  text.seen?.message ?? { id: undefined, method: undefined };

export const wholeText = (text: Text): string =>
  (text instanceof LongText ? Buffer.concat(text.parts) : text).toString("utf8");
