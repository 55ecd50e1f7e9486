import { tomlEntry, yamlEntry } from "../../web/client-entries.ts";
import type { Put } from "../../web/client-entries.ts";
import { cannotMerge } from "./refusal.ts";

const isBlank = (line: string): boolean => /^\s*(#.*)?$/.test(line);

/** Without the lines at the end that belong to what comes next: blank ones, and comments. */
function endOfContent(lines: readonly string[], from: number, to: number): number {
  let end = to;
  while (end > from && isBlank(lines[end - 1]!)) end -= 1;
  return end;
}

/** A last line without an end is one, too. */
const linesOf = (text: string): string[] =>
  text === "" ? [] : text.replace(/\n$/, "").split("\n");
const textOf = (lines: readonly string[]): string => `${lines.join("\n")}\n`;

/** The keys of a table's header, `[a."b"]`; undefined for any other line. */
function headerOf(line: string): string[] | undefined {
  const inside = /^\s*\[\[?([^\]]+)\]\]?\s*(?:#.*)?$/.exec(line)?.[1];
  return inside?.split(".").map((key) => key.trim().replace(/^(["'])(.*)\1$/, "$2"));
}

/** Which lines are headers of tables; one within a string of several lines is none. */
function headersOf(lines: readonly string[]): { at: number; keys: string[] }[] {
  let quote: string | undefined;
  return lines.flatMap((line, at) => {
    const keys = quote === undefined ? headerOf(line) : undefined;
    for (const [mark] of line.matchAll(/"""|'''/g))
      quote = quote === undefined ? mark : quote === mark ? undefined : quote;
    return keys === undefined ? [] : [{ at, keys }];
  });
}

/** Whether a line with a key comes before the next table. */
const hasEntry = (below: readonly string[]): boolean =>
  /^[^[]/.test(below.find((line) => !isBlank(line))?.trimStart() ?? "");

function putToml(text: string, put: Put): string {
  const lines = linesOf(text);
  const headers = headersOf(lines);
  const [outer, name] = put.path;
  if (lines.some((line) => new RegExp(`^\\s*["']?${outer}["']?\\s*[=.]`).test(line)))
    throw cannotMerge(`${outer} is not written as tables, [${outer}.NAME]`);
  for (const { at, keys } of headers)
    if (keys.length === 1 && keys[0] === outer && hasEntry(lines.slice(at + 1)))
      throw cannotMerge(`[${outer}] has entries that are no tables of their own`);
  const isOf = (keys: readonly string[]): boolean => keys[0] === outer && keys[1] === name;
  const first = headers.findIndex(({ keys }) => isOf(keys));
  const entry = tomlEntry(put);
  if (first === -1) {
    const gap = lines.every(isBlank) ? [] : [""];
    return textOf([...lines, ...gap, ...entry]);
  }
  // Its own tables, as `[mcp_servers.gmail.env]`, go with it.
  const next = headers.slice(first).find(({ keys }) => !isOf(keys))?.at ?? lines.length;
  const begin = headers[first]!.at;
  const end = endOfContent(lines, begin, next);
  return textOf([...lines.slice(0, begin), ...entry, ...lines.slice(end)]);
}

const indentOf = (line: string): string => /^[ \t]*/.exec(line)![0];

/** The end of a block of YAML whose lines are indented deeper than this. */
function endOfBlock(lines: readonly string[], from: number, indent: string): number {
  const next = lines.findIndex(
    (line, at) => at >= from && !isBlank(line) && indentOf(line).length <= indent.length,
  );
  return endOfContent(lines, from, next === -1 ? lines.length : next);
}

function putYaml(text: string, put: Put): string {
  const lines = linesOf(text);
  const [outer, name] = put.path;
  const top = lines.findIndex((line) => new RegExp(`^["']?${outer}["']?\\s*:`).test(line));
  if (top === -1) return textOf([...lines, `${outer}:`, ...yamlEntry(put, "  ")]);
  if (!/:\s*(#.*)?$/.test(lines[top]!)) throw cannotMerge(`${outer} is not written as a block`);
  const end = endOfBlock(lines, top + 1, "");
  const within = lines.slice(top + 1, end);
  if (within.some((line) => line.includes("\t"))) throw cannotMerge("it is indented by tabs");
  const first = within.find((line) => !isBlank(line));
  const indent = first === undefined ? "  " : indentOf(first);
  const own = new RegExp(`^${indent}["']?${name}["']?\\s*:`);
  const found = within.findIndex((line) => own.test(line));
  const entry = yamlEntry(put, indent);
  if (found === -1) return textOf([...lines.slice(0, end), ...entry, ...lines.slice(end)]);
  const begin = top + 1 + found;
  const rest = lines.slice(endOfBlock(lines, begin + 1, indent));
  return textOf([...lines.slice(0, begin), ...entry, ...rest]);
}

/** As `editJson`, for TOML that has a table for each server. */
export const editToml = (text: string, puts: readonly Put[]): string => puts.reduce(putToml, text);

/** As `editJson`, for YAML that has its servers in a block of lines. */
export const editYaml = (text: string, puts: readonly Put[]): string => puts.reduce(putYaml, text);
