import { hash } from "node:crypto";
import { elementsOf, locate } from "../mcp/json-span.ts";
import { inTurns } from "../platform/in-turns.ts";
import { orderedJson } from "../platform/ordered-json.ts";

/** A tool as one server shows it. */
export interface Tool {
  readonly name: string;
  /** As its server wrote it. */
  readonly json: string;
  /** The same for two whose name and input schema are the same: either will do. */
  readonly digest: string;
}

/** The tools of one server, by name. */
export type Offer = ReadonlyMap<string, Tool>;

export const NOTHING: Offer = new Map();

/** What of JSON is read in a unit of `inTurns`. */
const UNIT_BYTES = 256;

/** What stands on the pages (results) of a server's `tools/list`. A tool that is none is left out. */
export async function offerIn(pages: readonly Buffer[]): Promise<Offer> {
  const texts = pages.flatMap((page) => {
    const span = locate(page, ["tools"]);
    const tools = span && page.subarray(span.start, span.end);
    const elements = (tools && elementsOf(tools)) ?? [];
    return elements.map(({ start, end }) => tools!.toString("utf8", start, end));
  });
  const offer = new Map<string, Tool>();
  const add = (json: string): void => {
    const tool = toolIn(json);
    if (tool !== undefined && !offer.has(tool.name)) offer.set(tool.name, tool);
  };
  await inTurns(texts, add, ({ length }) => 1 + length / UNIT_BYTES);
  return offer;
}

function toolIn(json: string): Tool | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { name, inputSchema } = value as { name?: unknown; inputSchema?: unknown };
  if (typeof name !== "string" || name === "") return undefined;
  return { name, json, digest: hash("sha256", definitionOf(name, inputSchema, json), "base64") };
}

function definitionOf(name: string, inputSchema: unknown, json: string): string {
  try {
    return orderedJson([name, inputSchema]);
  } catch {
    // Nested as deep as no schema is: only the same bytes are the same.
    return json;
  }
}
