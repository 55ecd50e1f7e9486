import { decodeMirrored } from "./modern.ts";

/** A parameter that a tool wants to see in a header too. */
export interface ParamHeader {
  /** Lower case, as Node gives header names: `mcp-param-region`. */
  readonly header: string;
  readonly path: readonly string[];
}

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Deeper than any schema by hand; a schema that refers to itself has no end. */
const MAX_DEPTH = 16;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What a tool's `inputSchema` marks with `x-mcp-header`, along chains of `properties` alone (MCP 2026-07-28, streamable HTTP). */
export function paramHeadersOf(schema: unknown, path: readonly string[] = []): ParamHeader[] {
  if (!isObject(schema) || !isObject(schema["properties"]) || path.length > MAX_DEPTH) return [];
  return Object.entries(schema["properties"]).flatMap(([key, inner]) => {
    const here = [...path, key];
    const name = isObject(inner) ? inner["x-mcp-header"] : undefined;
    return typeof name === "string" && TOKEN.test(name)
      ? [{ header: `mcp-param-${name.toLowerCase()}`, path: here }]
      : paramHeadersOf(inner, here);
  });
}

/** What is wrong between the arguments of a call and the headers that mirror them, without repeating either. */
export function paramHeaderFault(
  declared: readonly ParamHeader[],
  args: unknown,
  headerOf: (name: string) => string | undefined,
): string | undefined {
  for (const { header, path } of declared) {
    const value = valueAt(args, path);
    const isPrimitive =
      typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    if (!isPrimitive) continue;
    const sent = headerOf(header);
    if (sent === undefined) return "a Mcp-Param header that the tool wants is missing";
    const decoded = decodeMirrored(sent);
    if (decoded === undefined) return "a Mcp-Param header cannot be decoded";
    // 42.0 and 42 are the same number.
    const isEqual =
      typeof value === "number" && /^-?\d+(?:\.\d+)?$/.test(decoded)
        ? Number(decoded) === value
        : decoded === String(value);
    if (!isEqual) return "a Mcp-Param header and the body differ";
  }
  return undefined;
}

function valueAt(args: unknown, path: readonly string[]): unknown {
  let value = args;
  for (const key of path) {
    if (!isObject(value) || !Object.hasOwn(value, key)) return undefined;
    value = value[key];
  }
  return value;
}
