/** A token (RFC 9110, 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Obs-text is allowed (RFC 9110, 5.5). Not what is beyond Latin-1: it goes out as its low byte, and "\u010a" as a line feed. */
const NOT_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
/** Names as peers spell them, with their lower case. */
const KNOWN = new Map<string, string>();
const MAX_KNOWN = 500;
const MAX_KNOWN_LENGTH = 40;

/** The name of a header in lower case; undefined for what is none. Most were asked for before. */
export function fieldName(spelled: string): string | undefined {
  const known = KNOWN.get(spelled);
  if (known !== undefined) return known;
  if (!TOKEN.test(spelled)) return undefined;
  const name = spelled.toLowerCase();
  if (KNOWN.size < MAX_KNOWN && spelled.length <= MAX_KNOWN_LENGTH)
    // Of bytes of their own: a slice would keep the whole head that it was cut from.
    KNOWN.set(Buffer.from(spelled, "latin1").toString("latin1"), name);
  return name;
}

/** Whether a header can carry it. */
export const isFieldValue = (value: string): boolean => !NOT_IN_VALUE.test(value);

/**
 * A value without the blanks around it. Not trim(): what that takes for white space is more than HTTP's,
 * controls and obs-text among it. Nor by a pattern: one would take the square of the blanks within.
 */
export function withoutBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;
