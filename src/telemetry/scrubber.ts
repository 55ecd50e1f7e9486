import { formsOf, formsOfBytes } from "./encodings.ts";
import { Matcher } from "./matcher.ts";

/**
 * A shorter secret is not looked for: "a" or "test1" stands in half of all lines by accident, and
 * without those lines nobody can see why something fails. Whoever sets one is told.
 */
export const MIN_SECRET_LENGTH = 8;
/** What a child says may come late, after its token was changed or its end was noticed. */
const LINGER_MS = 10 * 60_000;
const REMOVED = "[secret]";

/** Access keys by their shape, as they are and in base64: the daemon keeps hashes of them only. */
const ACCESS_KEYS =
  /mcps_[0-9A-Za-z]{36}|(?:bWNwc1[89]|[GWm2]1jcHNf|tY3BzX[z0-9w-y])[\w+/-]{44,}={0,2}/g;
const HINTS = ["mcps_", "bWNwc1", "1jcHNf", "tY3BzX"];
const CUT_ACCESS_KEY = /mcps_[0-9A-Za-z]{0,35}$/;

/**
 * Where a JWT may be: runs of its letters with dots between, each read from its beginning alone, or a
 * long one would be read once for each of its letters.
 */
const DOTTED = /(?<![\w-])([\w-]+)\.[\w-]{2,}(?:\.[\w-]*)?/g;
const CUT_DOTTED = /(?<![\w-])([\w-]+)(?:\.[\w-]*){0,2}$/;
/** How a JSON object begins in base64url. JWTs are kept nowhere, so that their shape is all there is to know them by. */
const JWT_HINTS = ["eyJ", "eyA", "ewo", "ew0"];
const SHORTEST_HEAD = 11;
/** As base64 has them, wherever they begin in it. */
const JWTS_IN_BASE64 = /(?:ZXlK|V5S|leU[o-r])[\w+/-]{80,}={0,2}/g;
const JWT_IN_BASE64_HINTS = ["ZXlK", "V5S", "leU"];

const holds = (text: string, hints: readonly string[]): boolean =>
  hints.some((hint) => text.includes(hint));

/** The match without what is a JWT from where that begins. `head` is all before the first dot. */
function withoutJwt(whole: string, head: string): string {
  const begins = JWT_HINTS.map((hint) => head.indexOf(hint)).filter((at) => at !== -1);
  const at = Math.min(...begins);
  return head.length - at < SHORTEST_HEAD ? whole : whole.slice(0, at) + REMOVED;
}

/**
 * Removes live secrets from what leaves the process, by their value: wherever they came from, and
 * however they are written.
 */
export class Scrubber {
  readonly #live = new Map<string, { secret: string; forms: readonly string[] }>();
  /** Secrets that are no more, and until when they are looked for (`performance.now()`), in that order. */
  #former: { forms: readonly string[]; untilAt: number }[] = [];
  readonly #matcher = new Matcher(MIN_SECRET_LENGTH);

  /**
   * Removes `secret` from all text from now on, in place of the one that had this name. False where it
   * is too short to be looked for.
   */
  set(name: string, secret: string | Buffer): boolean {
    const isText = typeof secret === "string";
    const text = isText ? secret : secret.toString("latin1");
    const known = this.#live.get(name);
    if (known?.secret === text) return known.forms.length > 0;
    this.delete(name);
    const all =
      text.length < MIN_SECRET_LENGTH ? [] : isText ? formsOf(secret) : formsOfBytes(secret);
    const forms = [...new Set(all)].filter((form) => form.length >= MIN_SECRET_LENGTH);
    for (const form of forms) this.#matcher.add(form);
    this.#live.set(name, { secret: text, forms });
    return forms.length > 0;
  }

  /** The secret of that name is no more; it is looked for some minutes on. */
  delete(name: string): void {
    const known = this.#live.get(name);
    const now = performance.now();
    if (known !== undefined) {
      this.#live.delete(name);
      this.#former.push({ forms: known.forms, untilAt: now + LINGER_MS });
    }
    const over = this.#former.filter(({ untilAt }) => untilAt <= now);
    if (over.length === 0) return;
    this.#former = this.#former.slice(over.length);
    for (const { forms } of over) for (const form of forms) this.#matcher.delete(form);
  }

  /** As `delete`, and it is not looked for from now on. */
  drop(name: string): void {
    for (const form of this.#live.get(name)?.forms ?? []) this.#matcher.delete(form);
    this.#live.delete(name);
  }

  /** The text without any secret. */
  scrub(text: string): string {
    if (text.length < MIN_SECRET_LENGTH) return text;
    // Most text has none of these, and to know that costs less than to look for the whole shape.
    let clean = holds(text, HINTS) ? text.replace(ACCESS_KEYS, REMOVED) : text;
    if (holds(text, JWT_HINTS)) clean = clean.replace(DOTTED, withoutJwt);
    if (holds(text, JWT_IN_BASE64_HINTS)) clean = clean.replace(JWTS_IN_BASE64, REMOVED);
    return this.#matcher.replace(clean, REMOVED);
  }

  /** As `scrub`, for text that was cut off at its end: a secret of which only the beginning is there goes too. */
  scrubCut(text: string): string {
    const whole = this.scrub(text).replace(CUT_ACCESS_KEY, REMOVED);
    const clean = holds(whole, JWT_HINTS) ? whole.replace(CUT_DOTTED, withoutJwt) : whole;
    return this.#matcher.replaceCut(clean, REMOVED);
  }
}
