/** A token (RFC 9110, 5.6.2) in lower case. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** Names as peers spell them, with the lower case that they were checked as. */
const KNOWN = new Map<string, string>();
const MAX_KNOWN = 500;
const MAX_KNOWN_LENGTH = 40;

/** The name of a header in lower case; undefined for what is none. Most were asked for before. */
export function fieldName(spelled: string): string | undefined {
  const known = KNOWN.get(spelled);
  if (known !== undefined) return known;
  const name = spelled.toLowerCase();
  if (!TOKEN.test(name)) return undefined;
  if (KNOWN.size < MAX_KNOWN && spelled.length <= MAX_KNOWN_LENGTH)
    // Of bytes of their own: a slice would keep the whole head that it was cut from.
    KNOWN.set(Buffer.from(spelled, "latin1").toString("latin1"), name);
  return name;
}
