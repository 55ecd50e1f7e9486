/**
 * The same id as JSON text, however it was written: `"\u0061"` and `"a"`, `1.0` and `1` are one.
 * Numbers beyond 2^53 stay as written, because a parser would change them.
 */
export function canonicalId(raw: string): string {
  if (raw.startsWith('"')) return raw.includes("\\") ? JSON.stringify(unescaped(raw)) : raw;
  const value = Number(raw);
  return Math.abs(value) <= Number.MAX_SAFE_INTEGER ? String(value) : raw;
}

/** What a string stands for that is written with escapes; as it is where it is no JSON. */
export function unescaped(jsonString: string): string {
  try {
    const value: unknown = JSON.parse(jsonString);
    return typeof value === "string" ? value : jsonString;
  } catch {
    return jsonString;
  }
}
