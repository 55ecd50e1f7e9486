/** What a screen obeys and does not show: C0 but for tab and newline, DEL, C1, and marks that turn the text on it round. */
// eslint-disable-next-line no-control-regex -- these are what it is for
const STEERING = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** The text, in which nothing stands as itself that steers. Carriage returns before a newline are dropped. */
export const inert = (text: string): string =>
  text
    .replace(/\r\n/g, "\n")
    .replace(STEERING, (unit) => `\u2983${unit.charCodeAt(0).toString(16).padStart(2, "0")}\u2984`);
