// eslint-disable-next-line no-control-regex -- what is not in the range is what it is for
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** Whether the text is as it is the inside of a JSON string of at most `limit` characters. */
export function fits(text: string, limit: number): boolean {
  return text.length <= limit && PLAIN.test(text);
}

/**
 * Text of a stranger as the inside of a JSON string of at most `limit` characters: everything beyond
 * printable ASCII is escaped, so that it can neither end the string or the line nor move a cursor.
 */
export function bounded(text: string, limit: number): string {
  if (fits(text, limit)) return text;
  let escaped = "";
  for (let i = 0; i < text.length; i += 1) {
    const character = text[i]!;
    const next = PLAIN.test(character)
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
    if (escaped.length + next.length > limit - 1) return `${escaped}~`;
    escaped += next;
  }
  return escaped;
}
