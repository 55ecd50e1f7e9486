/** Controls, and what turns the direction of the text behind it round. */
const STEERING = /(?!\t)\p{Cc}|[\u202a-\u202e\u2066-\u2069]/gu;

/**
 * Text of a child or client, made safe for a terminal: neither must move the admin's cursor, retitle
 * the window or have a line read other than it was written.
 */
export function printable(text: string): string {
  return text.replace(STEERING, (character) => {
    const hex = character.charCodeAt(0).toString(16);
    return hex.length > 2 ? `\\u${hex}` : `\\x${hex.padStart(2, "0")}`;
  });
}
