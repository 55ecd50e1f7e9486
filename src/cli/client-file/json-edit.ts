import { readJson } from "../../config/json.ts";
import type { Put } from "../../web/client-entries.ts";
import { cannotMerge } from "./refusal.ts";

const BLANK = /(?:[ \t\r\n]+|\/\/[^\n]*|\/\*[^]*?\*\/)*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const WORD = /[^\s,:[\]{}"/]+/y;

interface Item {
  /** Of an object's entry. */
  key: string | undefined;
  /** Where the entry begins, and where its value does and ends. */
  start: number;
  valueStart: number;
  valueEnd: number;
}

/** An object or a list, by the places of its parts in the text. */
interface Block {
  open: number;
  close: number;
  items: Item[];
  hasLastComma: boolean;
  /** Behind the last thing that is no blank, comments too. */
  tail: number;
}

function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

const skipBlank = (text: string, at: number): number => endOf(BLANK, text, at);

function endOfValue(text: string, at: number): number {
  if (text[at] === '"') return endOf(STRING, text, at);
  if (text[at] === "{" || text[at] === "[") return blockAt(text, at).close + 1;
  return endOf(WORD, text, at);
}

/** The block that opens there, in a text that was found to be JSON. */
function blockAt(text: string, open: number): Block {
  const isObject = text[open] === "{";
  const items: Item[] = [];
  let hasLastComma = false;
  let at = skipBlank(text, open + 1);
  let from = open + 1;
  while (text[at] !== "}" && text[at] !== "]") {
    const start = at;
    let key: string | undefined;
    if (isObject) {
      const end = endOf(STRING, text, at);
      key = JSON.parse(text.slice(at, end)) as string;
      at = skipBlank(text, skipBlank(text, end) + 1);
    }
    const valueEnd = endOfValue(text, at);
    items.push({ key, start, valueStart: at, valueEnd });
    const next = skipBlank(text, valueEnd);
    hasLastComma = text[next] === ",";
    from = hasLastComma ? next + 1 : valueEnd;
    at = skipBlank(text, from);
  }
  const tail = from + text.slice(from, at).trimEnd().length;
  return { open, close: at, items, hasLastComma, tail };
}

const indentAt = (text: string, at: number): string =>
  /^[ \t]*/.exec(text.slice(text.lastIndexOf("\n", at - 1) + 1, at))![0];

/** What one level is moved in by. */
const unitOf = (text: string): string => /^([ \t]+)\S/m.exec(text)?.[1] ?? "  ";

const render = (value: unknown, indent: string, unit: string): string =>
  JSON.stringify(value, null, unit).replaceAll("\n", `\n${indent}`);

function insert(text: string, block: Block, key: string | undefined, value: unknown): string {
  const unit = unitOf(text);
  const last = block.items.at(-1);
  const outer = indentAt(text, block.open);
  const isOnOwnLine = last !== undefined && text.slice(block.open, last.start).includes("\n");
  const indent = isOnOwnLine ? indentAt(text, last.start) : outer + unit;
  const name = key === undefined ? "" : `${JSON.stringify(key)}: `;
  const comma = last === undefined || block.hasLastComma ? "" : ",";
  const rest = text.slice(block.tail, block.close);
  return [
    text.slice(0, last?.valueEnd ?? block.tail),
    comma,
    last === undefined ? "" : text.slice(last.valueEnd, block.tail),
    `\n${indent}${name}${render(value, indent, unit)}`,
    rest.includes("\n") ? rest : `\n${outer}`,
    text.slice(block.close),
  ].join("");
}

function replace(text: string, { start, valueStart, valueEnd }: Item, value: unknown): string {
  const written = readJson(text.slice(valueStart, valueEnd)).value;
  if (JSON.stringify(written) === JSON.stringify(value)) return text;
  const rendered = render(value, indentAt(text, start), unitOf(text));
  return text.slice(0, valueStart) + rendered + text.slice(valueEnd);
}

function putItem(text: string, block: Block, { id, value }: Put): string {
  const found = block.items.find(({ valueStart, valueEnd }) => {
    const item = readJson(text.slice(valueStart, valueEnd)).value;
    return typeof item === "object" && item !== null && "id" in item && item.id === id;
  });
  return found === undefined ? insert(text, block, undefined, value) : replace(text, found, value);
}

function putOne(text: string, put: Put): string {
  const { path, value, id } = put;
  let open = skipBlank(text, 0);
  for (const [index, key] of path.entries()) {
    if (text[open] !== "{") throw cannotMerge("it does not have an object where one belongs");
    const block = blockAt(text, open);
    const found = block.items.find((item) => item.key === key);
    const inner = path.slice(index + 1);
    if (found === undefined) {
      const made = inner.reduceRight<unknown>(
        (below, name) => ({ [name]: below }),
        id === undefined ? value : [value],
      );
      return insert(text, block, key, made);
    }
    if (inner.length === 0 && id === undefined) return replace(text, found, value);
    open = found.valueStart;
  }
  if (text[open] !== "[") throw cannotMerge("it does not have a list where one belongs");
  return putItem(text, blockAt(text, open), put);
}

/**
 * The text of a file of JSON, with comments or without, with these values in it. Whatever else it
 * holds stays as it is, to the byte. Throws CLIENT_FILE_REFUSED for what is no such file.
 */
export function editJson(text: string, puts: readonly Put[]): string {
  if (text.trim() === "") return `${puts.reduce(putOne, "{}")}\n`;
  const { problems } = readJson(text);
  if (problems.length > 0) throw cannotMerge(problems[0]!);
  return puts.reduce(putOne, text);
}
