import type { ServerEntry } from "../config/one-server.ts";
import { SupervisorError } from "../errors.ts";

/** Keys whose values are secrets: they are taken, and shown to nobody. */
const SECRET_KEYS = ["headers", "env"] as const;
type SecretKey = (typeof SECRET_KEYS)[number];

type Values = Readonly<Record<string, unknown>>;

const isSecretKey = (key: string): key is SecretKey =>
  (SECRET_KEYS as readonly string[]).includes(key);

/** What is kept under the name; of a header whatever its case. */
function keptUnder(key: SecretKey, kept: Values, name: string): unknown {
  if (key === "env") return Object.hasOwn(kept, name) ? kept[name] : undefined;
  const found = Object.keys(kept).find((one) => one.toLowerCase() === name.toLowerCase());
  return found === undefined ? undefined : kept[found];
}

/** The values of now: null stands for the one that is kept under that name. REQUEST_INVALID where there is none. */
function mergeValues(key: SecretKey, kept: Values, said: Values): Values {
  return Object.fromEntries(
    Object.entries(said).map(([name, value]) => {
      const merged = value === null ? keptUnder(key, kept, name) : value;
      if (merged !== undefined) return [name, merged];
      throw new SupervisorError(
        "REQUEST_INVALID",
        `${key}: null keeps the value that is stored, and none is stored for ${JSON.stringify(name)}: give a value, or leave it out`,
      );
    }),
  );
}

const valuesOf = (value: unknown): Values =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Values) : {};

/**
 * The entry with what is said of it: a key that is null goes, one that is left out stays. Of headers
 * and env those that are named are all there are, and null keeps the value of that name. What has the
 * wrong type stays as it is said, for the schema to tell.
 */
export function mergeEntry(kept: ServerEntry, said: ServerEntry): ServerEntry {
  const merged = new Map(Object.entries(kept));
  for (const [key, value] of Object.entries(said)) {
    const isMap = isSecretKey(key) && typeof value === "object" && !Array.isArray(value);
    if (!isMap) {
      if (value === null) merged.delete(key);
      else merged.set(key, value);
      continue;
    }
    const values = mergeValues(key, valuesOf(kept[key]), valuesOf(value));
    if (Object.keys(values).length === 0) merged.delete(key);
    else merged.set(key, values);
  }
  return Object.fromEntries(merged);
}

/** The entry as it may be shown: the names of headers and variables, and null for each value. */
export function shownEntry(entry: ServerEntry): ServerEntry {
  return Object.fromEntries(
    Object.entries(entry).map(([key, value]) => [
      key,
      isSecretKey(key)
        ? Object.fromEntries(Object.keys(valuesOf(value)).map((name) => [name, null]))
        : value,
    ]),
  );
}
