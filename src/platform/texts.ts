const MAX_LABEL_LENGTH = 100;
/** What mail systems take at most. */
const MAX_EMAIL_LENGTH = 254;
/** Whether anybody reads it no pattern can tell. */
const EMAIL = /^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u;
const CONTROL = /\p{Cc}/u;

export const LABEL_RULE = "must be one line of at most 100 characters, or null";
export const EMAIL_RULE = "must be an address like alice@example.com, or null";

/** A short text of people's. */
export const isLabel = (text: string): boolean =>
  text.length <= MAX_LABEL_LENGTH && !CONTROL.test(text);

export const isEmail = (text: string): boolean =>
  text.length <= MAX_EMAIL_LENGTH && EMAIL.test(text);

/** The places of texts that stand further ahead too. */
export function repeated(texts: readonly string[]): number[] {
  const seen = new Set<string>();
  return texts.flatMap((text, at) => {
    if (seen.has(text)) return [at];
    seen.add(text);
    return [];
  });
}
