/** Room: platform. Small tools that several rooms need, each once: names, units, addresses, files, signals, output read in shares; and all that is borrowed from Node's inside. Knows nothing of users, servers or requests. */
import { SupervisorError } from "../errors.ts";

/** What users and servers may be called: plain ASCII, so that a name is the same in a path, a row and a folder. */
const SLUG_LENGTH = 63;
export const SLUG_PATTERN = `[a-z0-9][a-z0-9_-]{0,${SLUG_LENGTH - 1}}`;

export const SLUG = new RegExp(`^${SLUG_PATTERN}$`);

export const SLUG_RULE =
  "must be 1 to 63 characters from a-z, 0-9, _ and -, and begin with a letter or a digit";

/** The text itself when it is a slug; else REQUEST_INVALID, which never repeats the text. */
export function requireSlug(kind: "user" | "server", text: unknown): string {
  if (typeof text === "string" && SLUG.test(text)) return text;
  throw new SupervisorError("REQUEST_INVALID", `the name of a ${kind} ${SLUG_RULE}`);
}

/** Letters that do not come apart into one of ours and a mark. */
const LETTERS: Record<string, string> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ı: "i",
  þ: "th",
};

/** The slug that comes nearest to what somebody wrote; undefined where there is none. */
export function slugFor(text: string): string | undefined {
  const slug = text
    .slice(0, 200)
    .toLowerCase()
    .replace(/[ßæœøłđıþ]/g, (letter) => LETTERS[letter] ?? "")
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/[^a-z0-9_]+/g, "-")
    .replace(/^[-_]+/, "")
    .slice(0, SLUG_LENGTH)
    .replace(/-+$/, "");
  return slug === "" ? undefined : slug;
}

/** The slug itself, or with the first of `-2`, `-3` … that makes it one that is not taken. */
export function freeSlug(slug: string, isTaken: (slug: string) => boolean): string {
  for (let count = 1; ; count += 1) {
    const end = count === 1 ? "" : `-${count}`;
    const name = slug.slice(0, SLUG_LENGTH - end.length) + end;
    if (!isTaken(name)) return name;
  }
}

/** As `requireSlug`, for a name that is given for the first time: the refusal says which slug would do. */
export function requireNewSlug(kind: "user" | "group" | "server", text: string): string {
  if (SLUG.test(text)) return text;
  const slug = slugFor(text);
  throw new SupervisorError("REQUEST_INVALID", `the name of a ${kind} ${SLUG_RULE}`, {
    details: slug === undefined ? [] : [`${slug} would do`],
  });
}
