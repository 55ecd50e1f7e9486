import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  SPACE,
} from "./bytes.ts";
import { endOfString } from "./json-string.ts";
import { LongText } from "./long-text.ts";
import type { Text } from "./long-text.ts";
import type { Span } from "./span.ts";

export type { Span } from "./span.ts";

/**
 * Finds the value at a path of keys, so that its bytes alone can be changed: to parse and write a
 * message again would change numbers beyond 2^53, escapes and the order of keys.
 *
 * In a long text only what `MessageScanner` looks for is found. The text must be JSON. Of keys that
 * stand twice the last one counts, as with JSON.parse. Undefined where the path leads nowhere.
 */
export function locate(json: Text, path: readonly string[]): Span | undefined {
  if (json instanceof LongText) return json.seen?.find(path);
  return locateIn(json, skipSpace(json, 0), path, 0);
}

/** Where no escape begins like this, no ASCII letter is written with one. */
const ESCAPED_LETTER = "\\u00";

/** False where no key of this name, in printable ASCII, stands anywhere in the text, however it is written. */
export function mayHold(json: Buffer, name: string): boolean {
  if (json.includes(`"${name}"`) || json.includes(ESCAPED_LETTER)) return true;
  return name.includes("/") && json.includes("\\/");
}

/**
 * As `locate`, for a last key in printable ASCII that most messages do not hold: these are told by a
 * look at their bytes, and are not walked through.
 */
export function findSeldom(json: Text, path: readonly string[]): Span | undefined {
  if (json instanceof LongText) return locate(json, path);
  return mayHold(json, path.at(-1)!) ? locate(json, path) : undefined;
}

/** The text, if it is JSON, is that of an array. */
export const isArray = (json: Buffer): boolean => json[skipSpace(json, 0)] === OPEN_BRACKET;

/**
 * The elements of an array: at most `most` of them, however many there are. Undefined where the text
 * is no array, or its brackets show that it is no JSON.
 */
export function elementsOf(json: Buffer, most = Infinity): Span[] | undefined {
  if (!isArray(json)) return undefined;
  let at = skipSpace(json, 0);
  const spans: Span[] = [];
  at = skipSpace(json, at + 1);
  while (at < json.length && json[at] !== CLOSE_BRACKET) {
    if (spans.length === most) return spans;
    const end = skipValue(json, at);
    // No value stands here ("[}"): to look again would be to look for ever.
    if (end === at) return undefined;
    spans.push({ start: at, end });
    at = skipSpace(json, end);
    if (json[at] === COMMA) at = skipSpace(json, at + 1);
  }
  return at < json.length ? spans : undefined;
}

type Changes = readonly (readonly [Span, string])[];

/** The same text with other bytes in the places of these spans, which are in order and do not overlap. */
export function splice(json: Buffer, changes: Changes): Buffer;
export function splice(json: Text, changes: Changes): Text;
export function splice(json: Text, changes: Changes): Text {
  if (json instanceof LongText) return json.splice(changes);
  let length = json.length;
  for (const [{ start, end }, text] of changes) length += Buffer.byteLength(text) - (end - start);
  const spliced = Buffer.allocUnsafe(length);
  let from = 0;
  let to = 0;
  for (const [{ start, end }, text] of changes) {
    to += json.copy(spliced, to, from, start);
    to += spliced.write(text, to);
    from = end;
  }
  json.copy(spliced, to, from);
  return spliced;
}

/** The text of a span that was found in it. */
export function textAt(json: Text, span: Span): string {
  if (json instanceof LongText) return "text" in span ? String(span.text) : "";
  return json.toString("utf8", span.start, span.end);
}

/** The value of a span, undefined for what is no JSON: a server's text may be anything. */
export function valueAt(json: Text, span: Span): unknown {
  try {
    return JSON.parse(textAt(json, span));
  } catch {
    return undefined;
  }
}

function locateIn(
  json: Buffer,
  from: number,
  path: readonly string[],
  depth: number,
): Span | undefined {
  if (json[from] !== OPEN_BRACE) return undefined;
  let found: Span | undefined;
  let at = skipSpace(json, from + 1);
  while (at < json.length && json[at] !== CLOSE_BRACE) {
    const keyEnd = skipString(json, at);
    const isWanted = keyIs(json, at, keyEnd, path[depth]!);
    at = skipSpace(json, keyEnd);
    if (json[at] === COLON) at = skipSpace(json, at + 1);
    const end = skipValue(json, at);
    if (isWanted)
      found = depth === path.length - 1 ? { start: at, end } : locateIn(json, at, path, depth + 1);
    at = skipSpace(json, end);
    if (json[at] === COMMA) at = skipSpace(json, at + 1);
  }
  return found;
}

function keyIs(json: Buffer, start: number, end: number, name: string): boolean {
  const length = end - start - 2;
  if (length <= name.length)
    return length === name.length && json.toString("latin1", start + 1, end - 1) === name;
  // Written with escapes, which make it longer, it is the same key to every parser.
  for (let at = start; at < end; at++)
    if (json[at] === BACKSLASH) return valueAt(json, { start, end }) === name;
  return false;
}

function skipSpace(json: Buffer, from: number): number {
  let at = from;
  while (at < json.length && json[at]! <= SPACE) at += 1;
  return at;
}

/** The index behind the closing quote of the string that begins here. */
function skipString(json: Buffer, from: number): number {
  return Math.min(json.length, endOfString(json, from + 1, json.length) + 1);
}

function skipValue(json: Buffer, from: number): number {
  const first = json[from];
  if (first === QUOTE) return skipString(json, from);
  let at = from;
  let depth = 0;
  while (at < json.length) {
    const byte = json[at]!;
    if (byte === QUOTE) {
      at = skipString(json, at);
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (byte === COMMA || byte <= SPACE)) return at;
    at += 1;
  }
  return at;
}
